import { RE2JS, RE2JSException } from 're2js';
import { z } from 'zod';
import { messageOf } from '../domain/errors.ts';
import { githubRepositoryPattern } from '../domain/github-repository.ts';
import { isTag, parseRepository } from '../domain/image-reference.ts';
import { parseImagePattern } from './image-pattern.ts';
import { parseSecretReference } from './secrets.ts';
import { showInPlaceOfText, showValue } from './wording.ts';

/** The smallest values of the configuration. Each says in its error what was expected and what was found. */

const milliseconds = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const durationPattern = /^(\d{1,9})(ms|s|m|h|d)$/;
/** Temporal and Node count in milliseconds; a year is more than anything here can mean. */
const longestMilliseconds = 366 * milliseconds.d;

/** Milliseconds of `60s`, `10m`, `24h`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit] = durationPattern.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return undefined;
  const total = Number(amount) * milliseconds[unit as keyof typeof milliseconds];
  return total > 0 && total <= longestMilliseconds ? total : undefined;
}

const bytes = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 } as const;
const sizePattern = /^(\d{1,9})([bkmg])$/;

/** Bytes of `512m` or `2g`, counted by 1024 as Docker does; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit] = sizePattern.exec(text.toLowerCase()) ?? [];
  return amount === undefined || unit === undefined ? undefined : Number(amount) * bytes[unit as keyof typeof bytes];
}

/** A text that `parse` turns into a value, or refuses with undefined. `pattern` only tells editors what to expect. */
function parsed<Value>(expected: string, pattern: RegExp, parse: (text: string) => Value | undefined) {
  return z
    .string({ error: (issue) => `expected ${expected}, found ${showValue(issue.input)}` })
    .meta({ pattern: pattern.source })
    .transform((text, context): Value => {
      const value = parse(text);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message: `expected ${expected}, found ${showValue(text)}` });
      return z.NEVER;
    });
}

export function text(expected = 'text', pattern: RegExp = /\S/) {
  return z
    .string({ error: (issue) => `expected ${expected}, found ${showInPlaceOfText(issue.input)}` })
    .regex(pattern, { error: (issue) => `expected ${expected}, found ${showInPlaceOfText(issue.input)}` });
}

export const duration = parsed('a duration such as 60s, 10m or 24h (more than 0, at most 366d)', durationPattern, parseDuration);

export const size = parsed('a size such as 512k or 20m', /^\d{1,9}[bkmgBKMG]$/, (value) => parseSize(value) || undefined);

/** Docker refuses containers with less memory. */
const leastMemory = 6 * bytes.m;
export const memory = parsed('a size such as 512m or 2g, at least 6m', /^\d{1,9}[bkmgBKMG]$/, (value) => {
  const size = parseSize(value);
  return size !== undefined && size >= leastMemory ? size : undefined;
});

/** Names stand in workflow ids, branch and container names; at most `longestServiceName` characters. */
export const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,98}(?<!\.)$/;
export const stageName = text('a name of letters, digits, - and _', /^[A-Za-z0-9][A-Za-z0-9_-]{0,48}$/);

/** With `*`, the name of each service that a pattern gives. */
export const serviceName = parsed(
  'a name of at most 99 letters, digits, ., - and _',
  /^[A-Za-z0-9*][A-Za-z0-9._*-]*$/,
  (value) => (namePattern.test(value.replace('*', 'x')) ? value : undefined),
);

export const tag = z.string({ error: (issue) => `expected a tag, found ${showInPlaceOfText(issue.input)}` }).refine(isTag, {
  error: (issue) => `expected a tag of at most 128 letters, digits, _, . and -, found ${showValue(issue.input)}`,
});

export const platform = text('a platform such as linux/amd64 or linux/arm/v7', /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/);

/** `owner/name` at the configured GitHub. */
export const githubRepository = text('a GitHub repository as owner/name', githubRepositoryPattern);

export const port = z
  .int({ error: (issue) => `expected a port from 1 to 65535, found ${showValue(issue.input)}` })
  .min(1)
  .max(65535);

export const imagePattern = z
  .string({
    error: (issue) => `expected an image such as ghcr.io/team/app or ghcr.io/team/*, found ${showInPlaceOfText(issue.input)}`,
  })
  .transform((value, context) => {
    try {
      return parseImagePattern(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: reason(error) });
      return z.NEVER;
    }
  });

/** A registry as it stands in image references: `ghcr.io`, `localhost:5001`, `docker.io`. */
export const registryHost = text('a registry host such as ghcr.io or localhost:5001', /^[^\s/]+$/).transform((host, context) => {
  try {
    const repository = parseRepository(`${host}/x/x`);
    const canonical = repository.slice(0, repository.indexOf('/'));
    if (canonical === 'docker.io' && !/docker\.io$/i.test(host))
      throw new Error(`'${host}' is no registry host: write it with its port`);
    return canonical;
  } catch (error) {
    context.addIssue({ code: 'custom', message: `expected a registry host such as ghcr.io or localhost:5001: ${reason(error)}` });
    return z.NEVER;
  }
});

/** Says what is wrong with a reference, or undefined. The file is checked with it while it is read. */
export type SecretCheck = (reference: string) => string | undefined;

export function url(what: string) {
  const expected = 'a URL that begins with http:// or https://';
  return text(expected, /^https?:\/\/[^\s/]+/)
    .refine((value) => URL.canParse(value), { error: (issue) => `expected ${expected}, found ${showValue(issue.input)}` })
    .transform((value) => value.replace(/\/+$/, ''))
    .meta({ description: `A URL: ${what}.` });
}

/** User and password of any URL; for http and https a user alone is too much, because tokens are given so. */
export const credentialsInUrl = /^(?:https?:\/\/[^/?#]*@|[a-z][a-z0-9+.-]*:\/\/[^/@]*:[^/@]*@)/i;

/** Compose's own grammar, without what its command would take for an option; `{service}` and `{stage}` may be filled in. */
export const composeService = text('the name of a compose service', /^(?!-)(?:[A-Za-z0-9._-]|\{service\}|\{stage\})+$/);

/** Name of a host that deploys: part of a task queue's name. */
export const hostName = text('the name of a host: letters, digits, ., - and _', /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);

/** A command without a shell: its words, or a text that is split at blanks. */
export const command = z
  .union([z.array(z.string()).min(1), text('a command')], {
    error: (issue) => `expected a command as a list of words or as a text, found ${showValue(issue.input)}`,
  })
  .transform((value): readonly string[] => (typeof value === 'string' ? value.trim().split(/\s+/) : value));

const longestExpression = 500;

/** A regular expression of RE2, which takes linear time whatever text it meets. */
export const expression = text('a regular expression').superRefine((value, context) => {
  const problem = problemOfExpression(value);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

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
    .superRefine((value, context) => {
      const message = parseSecretReference(value) === undefined ? expected : check(value);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    });
}

/** Plain text, or a reference where the text is one. */
export function textOrSecret(check: SecretCheck) {
  return z
    .string({ error: (issue) => `expected text or env:NAME or file:PATH, found ${showInPlaceOfText(issue.input)}` })
    .superRefine((value, context) => {
      const message = check(value);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    });
}

/** A URL, or a reference to one that may hold a secret. What it is instead is not shown, for the same reason. */
export function urlOrSecret(check: SecretCheck) {
  return textOrSecret(check).refine(
    (value) => parseSecretReference(value) !== undefined || (/^https?:/i.test(value) && URL.canParse(value)),
    { error: 'expected a URL that begins with http:// or https://, or env:NAME or file:PATH, found something else' },
  );
}

function reason(error: unknown): string {
  return messageOf(error);
}
