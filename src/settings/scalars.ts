import { RE2JS, RE2JSException } from 're2js';
import { z } from 'zod';
import { messageOf } from '../domain/errors.ts';
import { githubRepositoryPattern } from '../domain/github-repository.ts';
import { isTag, parseRepository, registryOf } from '../domain/image-reference.ts';
import { isPlainHttp, plainHttpAdvice } from '../domain/plain-http.ts';
import { durationPattern, parseDuration, parseSize } from './amounts.ts';
import { parseImagePattern } from './image-pattern.ts';
import { namePattern } from './name-pattern.ts';
import { parseSecretReference } from './secrets.ts';
import { expecting, refusing, showInPlaceOfText, showValue } from './wording.ts';

/** The smallest values of the configuration. Each says in its error what was expected and what was found. */

/** A text that `parse` turns into a value, or refuses with undefined. `pattern` only tells editors what to expect. */
export function parsed<Value>(what: string, pattern: RegExp, parse: (text: string) => Value | undefined) {
  const words = expecting(what);
  return z
    .string(words)
    .meta({ pattern: pattern.source })
    .transform((text, context): Value => {
      const value = parse(text);
      if (value !== undefined) return value;
      context.addIssue(words.error({ input: text }));
      return z.NEVER;
    });
}

/** The same for one that throws what is wrong. */
function read<Value>(parse: (text: string) => Value, before = '') {
  return (text: string, context: z.core.$RefinementCtx<string>): Value => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue(before + messageOf(error));
      return z.NEVER;
    }
  };
}

export function text(what = 'text', pattern: RegExp = /\S/) {
  const words = expecting(what, showInPlaceOfText);
  return z.string(words).regex(pattern, words);
}

export const duration = parsed('a duration such as 60s, 10m or 24h (more than 0, at most 366d)', durationPattern, parseDuration);

/** What editors are told to expect of a size. */
const sizeShape = /^\d{1,9}[bkmgBKMG]$/;
export const size = parsed('a size such as 512k or 20m', sizeShape, (value) => parseSize(value) || undefined);

/** Docker refuses containers with less memory. */
const leastMemory = 6 * 1024 ** 2;
export const memory = parsed('a size such as 512m or 2g, at least 6m', sizeShape, (value) => {
  const size = parseSize(value);
  return size !== undefined && size >= leastMemory ? size : undefined;
});

export const stageName = text('a name of letters, digits, - and _', /^[A-Za-z0-9][A-Za-z0-9_-]{0,48}$/);

/** With `*`, the name of each service that a pattern gives. */
export const serviceName = parsed(
  'a name of at most 99 letters, digits, ., - and _',
  /^[A-Za-z0-9*][A-Za-z0-9._*-]*$/,
  (value) => (namePattern.test(value.replace('*', 'x')) ? value : undefined),
);

export const tag = z
  .string(expecting('a tag', showInPlaceOfText))
  .refine(isTag, expecting('a tag of at most 128 letters, digits, _, . and -'));

export const platform = text('a platform such as linux/amd64 or linux/arm/v7', /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/);

/** `owner/name` at the configured GitHub. */
export const githubRepository = text('a GitHub repository as owner/name', githubRepositoryPattern);

export const port = z.int(expecting('a port from 1 to 65535')).min(1).max(65535);

export const imagePattern = z
  .string(expecting('an image such as ghcr.io/team/app or ghcr.io/team/*', showInPlaceOfText))
  .transform(read(parseImagePattern));

/** A registry as it stands in image references: `ghcr.io`, `localhost:5001`, `docker.io`. */
export const registryHost = text('a registry host such as ghcr.io or localhost:5001', /^[^\s/]+$/).transform(
  read((host) => {
    const canonical = registryOf(parseRepository(`${host}/x/x`));
    if (canonical !== 'docker.io' || /docker\.io$/i.test(host)) return canonical;
    throw new Error(`'${host}' is no registry host: write it with its port`);
  }, 'expected a registry host such as ghcr.io or localhost:5001: '),
);

/** Says what is wrong with a reference, or undefined. The file is checked with it while it is read. */
export type SecretCheck = (reference: string) => string | undefined;

export function url(what: string) {
  const expected = 'a URL that begins with http:// or https://';
  return text(expected, /^https?:\/\/[^\s/]+/)
    .refine((value) => URL.canParse(value), expecting(expected))
    .transform((value) => value.replace(/\/+$/, ''))
    .describe(`A URL: ${what}.`);
}

/** Beside a URL where secrets go: it has to be https, or on this machine, or `plainHttp` says that anything will do. */
export const plainHttp = z
  .boolean()
  .describe('Send to it by HTTP without TLS, where everybody on the way can read along. Default: only on this machine.');

/** For the map that has the two. Of a reference only its user learns the URL, and refuses it then. */
export function demandTls<Value extends { readonly plainHttp?: boolean }>(key: string & keyof Value) {
  return (value: Value, context: z.core.$RefinementCtx<Value>): void => {
    const url = value[key];
    if (value.plainHttp === true || typeof url !== 'string' || !isPlainHttp(url)) return;
    const message = `expected a URL that begins with https://, because secrets go there, found one with http://: ${plainHttpAdvice}`;
    context.addIssue({ code: 'custom', path: [key], message });
  };
}

/** User and password of any URL; for http and https a user alone is too much, because tokens are given so. */
export const credentialsInUrl = /^(?:https?:\/\/[^/?#]*@|[a-z][a-z0-9+.-]*:\/\/[^/@]*:[^/@]*@)/i;

/** Compose's own grammar, without what its command would take for an option; `{service}` and `{stage}` may be filled in. */
export const composeService = text('the name of a compose service', /^(?!-)(?:[A-Za-z0-9._-]|\{service\}|\{stage\})+$/);

/** Name of a host that deploys: part of a task queue's name. */
export const hostName = text('the name of a host: letters, digits, ., - and _', /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);

/** A command without a shell: its words, or a text that is split at blanks. */
export const command = z
  .union([z.array(z.string()).min(1), text('a command')], expecting('a command as a list of words or as a text'))
  .transform((value): readonly string[] => (typeof value === 'string' ? value.trim().split(/\s+/) : value));

const longestExpression = 500;

/** A regular expression of RE2, which takes linear time whatever text it meets. */
export const expression = text('a regular expression').superRefine(refusing(problemOfExpression));

function problemOfExpression(value: string): string | undefined {
  if (value.length > longestExpression) return `expected a regular expression of at most ${longestExpression} characters`;
  try {
    RE2JS.compile(value);
    return undefined;
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return `expected a regular expression of RE2 (no look-around, no back-references), found ${showValue(value)}: ${error.message}`;
  }
}

/** A secret: only a reference will do, and it is never shown. */
export function secret(check: SecretCheck) {
  const expected = 'expected env:NAME or file:PATH (with ? at the end where it may be missing), never the secret itself';
  return z
    .string({ error: expected })
    .meta({ pattern: '^(env:[A-Za-z_]\\w*|file:.+)\\??$' })
    .superRefine(refusing((value) => (parseSecretReference(value) === undefined ? expected : check(value))));
}

/** Plain text, or a reference where the text is one. */
export function textOrSecret(check: SecretCheck) {
  return z.string(expecting('text or env:NAME or file:PATH', showInPlaceOfText)).superRefine(refusing(check));
}

/** A URL, or a reference to one that may hold a secret. What it is instead is not shown, for the same reason. */
export function urlOrSecret(check: SecretCheck) {
  return textOrSecret(check).refine(
    (value) => parseSecretReference(value) !== undefined || (/^https?:/i.test(value) && URL.canParse(value)),
    { error: 'expected a URL that begins with http:// or https://, or env:NAME or file:PATH, found something else' },
  );
}
