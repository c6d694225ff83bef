import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { InvalidReference, isTag, parseRepository, type Repository, type Tag } from '../../domain/image-reference.ts';
import { isIssuerUrl } from '../../http/oidc/issuer-keys.ts';
import { byToken } from '../../http/oidc/token-verifier.ts';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { asciiLowerCase } from '../kit/image.ts';
import { isObject } from '../kit/reading.ts';
import { githubIssuer, idList, issuerUrl, textList } from '../kit/settings.ts';
import { type AuthenticRequest, defineSource, type FromEnvironment, type ParsedRequest } from '../kit/source.ts';
import { type AllowedJobs, judgeJob } from './claims.ts';
import { eventDropIn, jobVariables } from './drop-in.ts';

const owners = textList(
  'the name of an owner',
  'Owners of repositories whose jobs are believed. Compared whole, without regard to case.',
);

const ownerIds = idList('Ids of owners (repository_owner_id, at GitLab namespace_id), beside or in place of owners.');
const repositoryIds = idList('Only jobs of repositories with these ids (repository_id, at GitLab project_id).');

function patterns(what: string) {
  return textList('a text', `Only jobs of these ${what}; * is any text.`);
}

/** What ids mean depends on the issuer. */
const ofIssuer = {
  owners: owners.exactOptional(),
  ownerIds: ownerIds.exactOptional(),
  repositoryIds: repositoryIds.exactOptional(),
};

const issuer = z.union(
  [
    map(
      {
        github: z.union([z.literal(true), issuerUrl('the issuer of a GitHub Enterprise')], {
          error: 'expected true, or the URL of the issuer of a GitHub Enterprise',
        }),
        ...ofIssuer,
      },
      'GitHub Actions.',
    ),
    map({ gitlab: issuerUrl('a GitLab'), ...ofIssuer }, 'GitLab CI.'),
  ],
  {
    error:
      'expected {github: true}, {github: URL} or {gitlab: URL}, each with owners where it has its own, and URLs with https://',
  },
);

const eventSettings = map(
  {
    audience: textList('a text', 'What jobs request their tokens for, such as the URL of this Landfall.'),
    issuers: z
      .array(issuer)
      .min(1)
      .meta({ description: 'Who vouches for jobs. Default: GitHub Actions of github.com.' })
      .exactOptional(),
    ...ofIssuer,
    repositories: patterns('repositories, such as team/app or team/*').exactOptional(),
    refs: patterns('refs, such as refs/heads/main or refs/tags/v*').exactOptional(),
    workflows: patterns('files of workflows, such as release.yml').exactOptional(),
    imagePrefix: textList('the beginning of images', 'What images have to begin with, such as ghcr.io/team/ (with the slash).'),
  },
  'Jobs of CI, with their OIDC tokens, on POST /event.',
).refine((settings) => saysWhose(settings) || settings.issuers?.every(saysWhose), {
  error: 'expected owners (or ownerIds), here or at every issuer: otherwise every job of GitHub could tell of pushes',
});

function saysWhose({ owners, ownerIds }: { readonly owners?: unknown; readonly ownerIds?: unknown }): boolean {
  return owners !== undefined || ownerIds !== undefined;
}

export type EventSettings = z.output<typeof eventSettings>;

/**
 * Jobs of CI that tell of the images that they pushed, in the form of kuberollouttrigger: `{"image", "tags"}`, with the job's own OIDC
 * token. Codes are as there: 400 for whatever is wrong with the request, 502 while Temporal does not answer.
 * @see https://github.com/UnitVectorY-Labs/kuberollouttrigger
 */
export const eventSource = defineSource({
  name: 'event',
  settings: () => eventSettings,
  fromEnvironment: eventFromEnvironment,
  dropIn: eventDropIn,
  // Its prefixes are demanded, and compared with what the job wrote.
  allowedImages: ({ imagePrefix }) => [
    {
      path: [],
      allowed: {
        includes: () => true,
        standingOf: (host) =>
          imagePrefix.some((prefix) => `${host}/`.startsWith(prefix) || prefix.startsWith(`${host}/`)) ? 'own' : 'foreign',
      },
    },
  ],
  create(settings, { log, now }) {
    const issuers = issuersOf(settings);
    return [
      {
        path: '/event',
        byPrefix: true,
        mediaTypeAdvice: 'Send {"image", "tags"} as JSON.',
        authenticationAdvice:
          'Expected the header Authorization with the OIDC token of the job, as a bearer token. Request it for the audience of receivers.event, and allow the owner of the repository there; the log of the server says what is wrong.',
        ...byToken({
          issuers,
          audiences: settings.audience,
          judge(token) {
            const jobs = issuers.find(({ url }) => url === token.issuer);
            if (jobs === undefined) throw new Error('expected the verifier to know only the issuers that it was given');
            return judgeJob(token, jobs);
          },
          source: 'event',
          log,
          now,
        }),
        statuses: { 'unsupported-media-type': 400, 'too-large': 400, unavailable: 502, ignored: 202 },
        parse: (request) => parse(request, settings.imagePrefix),
      },
    ];
  },
});

function issuersOf(settings: EventSettings): readonly (AllowedJobs & { readonly url: string })[] {
  const { repositories, refs, workflows, owners = [] } = settings;
  const issuers = settings.issuers ?? [{ github: true as const }];
  return issuers.map((issuer) => {
    const its = saysWhose(issuer) ? issuer : { owners, ownerIds: settings.ownerIds };
    const own = {
      ...{ owners: its.owners ?? [], ownerIds: its.ownerIds, repositoryIds: issuer.repositoryIds ?? settings.repositoryIds },
      ...{ repositories, refs, workflows },
    };
    if ('gitlab' in issuer) return { ...own, kind: 'gitlab', url: issuer.gitlab };
    return { ...own, kind: 'github', url: issuer.github === true ? githubIssuer : issuer.github };
  });
}

function parse({ body }: AuthenticRequest, prefixes: readonly string[]): ParsedRequest {
  const { image, tags, again = false } = fieldsOf(body);
  if (typeof again !== 'boolean') throw malformed('Expected again as true or false.');
  const repository = allowedRepository(image, prefixes);
  const images = tagsOf(tags).map((tag) => ({ repository, tag }));
  return { event: 'event', deliveryId: randomUUID(), images, ...(again && { again }) };
}

interface EventFields {
  image?: unknown;
  tags?: unknown;
  again?: unknown;
}

/** Names in any case, and the last of several wins, as the JSON decoder of Go has it. */
function fieldsOf(body: unknown): EventFields {
  if (!isObject(body)) throw malformed('Expected a JSON object with image and tags.');
  const fields: EventFields = {};
  for (const [key, value] of Object.entries(body)) {
    const name = key.toLowerCase();
    if (name !== 'image' && name !== 'tags' && name !== 'again')
      throw malformed('Expected a JSON object with image and tags, and nothing else but again.');
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
  // Owners are written with capitals in the one place, and in the other not.
  if (!prefixes.some((prefix) => name.startsWith(prefix) || name.startsWith(asciiLowerCase(prefix)))) {
    throw malformed('Expected an image that begins with the prefix which receivers.event allows.');
  }
  try {
    // Owners are written with capitals at GitHub, and with small letters in its registry. Without a host, capitals mean something else.
    return parseRepository(/^(?:[^/]*[.:]|localhost(?:\/|$))/i.test(name) ? asciiLowerCase(name) : name);
  } catch (error) {
    if (!(error instanceof InvalidReference)) throw error;
    throw malformed('Expected an image as REGISTRY/PATH, without tag and digest: tags go into the list tags.');
  }
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

/**
 * The variables that configure kuberollouttrigger configure this receiver as well, without any file. `GITHUB_OIDC_ISSUER` names another
 * issuer than github.com's, such as that of a GitHub Enterprise Server.
 */
export function eventFromEnvironment(env: Environment): FromEnvironment<EventSettings> {
  const variables = jobVariables(env);
  if (variables === undefined || 'problem' in variables) return variables;
  const issuer = env.GITHUB_OIDC_ISSUER?.trim().replace(/\/+$/, '') || githubIssuer;
  if (!isIssuerUrl(issuer)) return { problem: 'GITHUB_OIDC_ISSUER: expected a URL that begins with https://' };
  const { audience, owner, prefix } = variables;
  return { settings: { issuers: [{ github: issuer }], audience: [audience], owners: [owner], imagePrefix: [prefix] } };
}
