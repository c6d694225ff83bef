import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { InvalidReference, isTag, parseRepository, type Repository, type Tag } from '../../domain/image-reference.ts';
import { isIssuerUrl } from '../../http/oidc/issuer-url.ts';
import { byToken, refusedTokenInLog } from '../../http/oidc/token-authentication.ts';
import { createTokenVerifier } from '../../http/oidc/token-verifier.ts';
import { malformed } from '../../http/problem.ts';
import { isObject } from '../kit/json-object.ts';
import type { AuthenticRequest, ParsedRequest, Receiver } from '../kit/receiver.ts';
import { defineSource, type FromEnvironment, type SourceContext } from '../kit/source.ts';
import { type AllowedJobs, judgeJob } from './claims.ts';
import { eventSettings, githubIssuer } from './settings.ts';

const source = 'event';
const path = '/event';

export type EventSettings = z.output<ReturnType<typeof eventSettings>>;

/**
 * Jobs of CI that tell of the images that they pushed, in the form of kuberollouttrigger: `{"image", "tags"}`, with the job's own OIDC
 * token. Codes are as there: 400 for whatever is wrong with the request, 502 while Temporal does not answer.
 * @see https://github.com/UnitVectorY-Labs/kuberollouttrigger
 */
export const eventSource = defineSource({
  name: source,
  settings: () => eventSettings(),
  fromEnvironment: eventFromEnvironment,
  create: (settings, context) => [createEventReceiver(settings, context)],
});

export function createEventReceiver(
  settings: EventSettings,
  { log, now = Date.now }: Pick<SourceContext, 'log'> & { readonly now?: () => number },
): Receiver {
  const issuers = issuersOf(settings);
  const verify = createTokenVerifier({
    issuers: issuers.map(({ url }) => ({ url })),
    audiences: settings.audience,
    log,
    now,
  });
  return {
    source,
    path,
    mediaTypes: ['application/json'],
    byPrefix: true,
    mediaTypeAdvice: 'Send {"image", "tags"} as JSON.',
    namesOneOfSeveralTags: false,
    challenge: 'Bearer realm="landfall"',
    authenticationAdvice:
      'Expected the header Authorization with the OIDC token of the job, as a bearer token. Request it for the audience of receivers.event, and allow the owner of the repository there; the log of the server says what is wrong.',
    authenticate: byToken({
      verify,
      judge: (token) => {
        const jobs = issuers.find(({ url }) => url === token.issuer);
        if (jobs === undefined) throw new Error('expected the verifier to know only the issuers that it was given');
        return judgeJob(token, jobs);
      },
      source,
      log,
    }),
    refusedInLog: refusedTokenInLog,
    statuses: { 'unsupported-media-type': 400, 'too-large': 400, unavailable: 502, ignored: 202 },
    parse: (request) => parse(request, settings.imagePrefix),
  };
}

function issuersOf(settings: EventSettings): readonly (AllowedJobs & { readonly url: string })[] {
  const { repositories, refs, workflows, owners = [] } = settings;
  const issuers = settings.issuers ?? [{ github: true as const }];
  return issuers.map((issuer) => {
    const own = { owners: issuer.owners ?? owners, repositories, refs, workflows };
    if ('gitlab' in issuer) return { ...own, kind: 'gitlab', url: issuer.gitlab };
    return { ...own, kind: 'github', url: issuer.github === true ? githubIssuer : issuer.github };
  });
}

function parse({ body }: AuthenticRequest, prefixes: readonly string[]): ParsedRequest {
  const { image, tags } = fieldsOf(body);
  const repository = allowedRepository(image, prefixes);
  return { event: 'event', deliveryId: randomUUID(), images: tagsOf(tags).map((tag) => ({ repository, tag })) };
}

/** Names in any case, and the last of several wins, as the JSON decoder of Go has it. */
function fieldsOf(body: unknown): { readonly image?: unknown; readonly tags?: unknown } {
  if (!isObject(body)) throw malformed('Expected a JSON object with image and tags.');
  const fields: { image?: unknown; tags?: unknown } = {};
  for (const [key, value] of Object.entries(body)) {
    const name = key.toLowerCase();
    if (name !== 'image' && name !== 'tags') throw malformed('Expected a JSON object with image and tags, and nothing else.');
    fields[name] = value;
  }
  return fields;
}

/** Longer is no image, and is refused before any pattern sees it. */
const longestImage = 512;

function allowedRepository(image: unknown, prefixes: readonly string[]): Repository {
  if (typeof image !== 'string' || image === '')
    throw malformed('Expected image with the name of the image, such as ghcr.io/team/app.');
  if (image.length > longestImage) throw malformed(`Expected an image of at most ${longestImage} characters.`);
  if (!image.includes('/')) throw malformed('Expected an image with a /, such as ghcr.io/team/app.');
  // Before the prefix is looked at: what is left must still begin with it.
  const name = image.replace(/\/+$/, '');
  if (!prefixes.some((prefix) => name.startsWith(prefix))) {
    throw malformed('Expected an image that begins with the prefix which receivers.event allows.');
  }
  try {
    return parseRepository(inLowerCase(name));
  } catch (error) {
    if (!(error instanceof InvalidReference)) throw error;
    throw malformed('Expected an image as REGISTRY/PATH, without tag and digest: tags go into the list tags.');
  }
}

/** Owners are written with capitals at GitHub, and with small letters in its registry. Without a host, capitals mean something else. */
function inLowerCase(name: string): string {
  const [host = ''] = name.split('/');
  // Some letters beyond ASCII become ASCII ones in lower case, so those are left for the grammar to refuse.
  return /[.:]|^localhost$/i.test(host) ? name.replace(/[A-Z]+/g, (capitals) => capitals.toLowerCase()) : name;
}

/** Nobody pushes more at once; each is looked up. */
const mostTags = 1000;

function tagsOf(tags: unknown): readonly Tag[] {
  if (!Array.isArray(tags) || tags.length === 0) throw malformed('Expected tags with a list of at least one tag.');
  if (tags.length > mostTags) throw malformed(`Expected tags with a list of at most ${mostTags} tags.`);
  return [...new Set(tags)].map((tag: unknown) => {
    if (typeof tag !== 'string' || tag === '') throw malformed('Expected tags with a list of tags, none of which is empty.');
    if (!isTag(tag)) throw malformed('Expected tags of at most 128 letters, digits, _, . and -, not beginning with . or -.');
    return tag;
  });
}

const required = ['GITHUB_OIDC_AUDIENCE', 'GITHUB_ALLOWED_ORG', 'ALLOWED_IMAGE_PREFIX'] as const;

/**
 * The variables that configure kuberollouttrigger configure this receiver as well, without any file. `GITHUB_OIDC_ISSUER` names another
 * issuer than github.com's, such as that of a GitHub Enterprise Server.
 */
export function eventFromEnvironment(env: Environment): FromEnvironment<EventSettings> {
  const missing = required.filter((name) => !env[name]?.trim());
  if (missing.length === required.length) return undefined;
  if (missing.length > 0) {
    const is = missing.length === 1 ? 'is' : 'are';
    return {
      problem: `expected ${required.join(', ')} together, but ${missing.join(' and ')} ${is} not set: set all of them, or none`,
    };
  }
  const issuer = env.GITHUB_OIDC_ISSUER?.trim().replace(/\/+$/, '') || githubIssuer;
  if (!isIssuerUrl(issuer)) return { problem: 'GITHUB_OIDC_ISSUER: expected a URL that begins with https://' };
  const [audience = '', owner = '', prefix = ''] = required.map((name) => env[name]?.trim());
  return {
    settings: { issuers: [{ github: issuer }], audience: [audience], owners: [owner], imagePrefix: [prefix] },
  };
}
