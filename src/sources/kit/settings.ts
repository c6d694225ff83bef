import { z } from 'zod';
import { isIssuerUrl } from '../../http/oidc/issuer-keys.ts';
import { duration, type SecretCheck, secret, text, url } from '../../settings/scalars.ts';
import { presentSecrets, type SecretResolver } from '../../settings/secrets.ts';
import { oneOrMany, showValue } from '../../settings/wording.ts';
import { repositoryIn } from './image.ts';

const listed = (value: string | readonly string[]): readonly string[] => (typeof value === 'string' ? [value] : value);

/** One secret, or several of which any verifies, so that they can be rotated. */
export function secretList(check: SecretCheck, what: string) {
  const one = secret(check);
  const many = z
    .array(secret(check))
    .min(1)
    .refine(
      (references) => references.some((reference) => !reference.endsWith('?') || check(reference.slice(0, -1)) === undefined),
      { error: 'expected at least one secret that is there, but every one of these may be missing, and is' },
    );
  return z
    .union([one, many], {
      error: (issue) => (Array.isArray(issue.input) ? undefined : 'expected env:NAME or file:PATH, or a list of them'),
    })
    .transform(listed)
    .meta({ description: `${what} Any of a list verifies, so that it can be rotated.` });
}

/** Reads the secrets of a receiver, once a request: a file may have been given a new one meanwhile. */
export type ReadSecrets = () => readonly string[];

/**
 * @param setting where the secrets are configured, for the message
 * @returns a function that throws Error if there is none, or an empty one: nothing must ever be verified by an empty key
 * @throws the same, at once: a receiver that anybody could use must not start
 */
export function readSecrets(references: readonly string[], resolve: SecretResolver, setting: string): ReadSecrets {
  const read = () => {
    const secrets = presentSecrets(resolve, references);
    if (secrets.length > 0 && secrets.every((secret) => secret.trim() !== '')) return secrets;
    throw new Error(`${setting}: expected at least one secret and none that is empty; set it, or remove the receiver`);
  };
  read();
  return read;
}

export const headerName = text('the name of a header', /^[A-Za-z0-9_-]{1,100}$/);

/** How a signature says when it was made. */
export const signedTime = {
  timestamp: headerName
    .meta({
      description: 'Header with the time of the signature, which is then of TIME.BODY: in seconds, milliseconds or ISO 8601.',
    })
    .exactOptional(),
  maxAge: duration.meta({ description: 'How far that time may be from now. Default: 5m.' }).exactOptional(),
};

const usualMaxAgeMs = 300_000;

/** What the settings of a signature say of its time. */
export function signedTimeOf(
  { timestamp, maxAge = usualMaxAgeMs }: { readonly timestamp?: string; readonly maxAge?: number },
  now: () => number = Date.now,
) {
  return timestamp === undefined ? undefined : { header: timestamp, maxAgeMs: maxAge, now };
}

/** One text, or a list of which any will do. */
export function textList(expected: string, description: string) {
  return oneOrMany(text(expected), expected).transform(listed).meta({ description });
}

/** Of the tokens of GitHub Actions at github.com. */
export const githubIssuer = 'https://token.actions.githubusercontent.com';

/** Ids of owners or repositories, which are numbers. */
export function idList(what: string) {
  const id = z.union([z.int().nonnegative().transform(String), z.string().regex(/^\d{1,20}$/)], {
    error: ({ input }) => `expected an id, which is a number, found ${showValue(input)}`,
  });
  return z
    .union([id, z.array(id).min(1)], { error: 'expected an id, which is a number, or a list of them' })
    .transform((value): readonly string[] => (typeof value === 'string' ? [value] : value))
    .meta({ description: `${what} A name may be somebody else's after a rename; an id never is.` });
}

/** An issuer of tokens; its keys are fetched from there. */
export function issuerUrl(what: string) {
  return url(what).refine(isIssuerUrl, { error: 'expected a URL that begins with https://, without user, password, ? and #' });
}

const expected = 'a registry such as registry.example.org:5000, or one with a path such as nexus.example.org/docker';

/** What stands before the names of images: a registry's host, with the path that its images have in common. */
export const imagePrefix = text(expected, /^[^\s:/]+(?::\d+)?(?:\/[^\s:]+)?\/?$/).transform((written, context) => {
  const repository = repositoryIn(`${written.replace(/\/$/, '')}/x/x`);
  if (repository !== undefined) return repository.slice(0, -'/x/x'.length);
  context.addIssue({ code: 'custom', message: `expected ${expected}` });
  return z.NEVER;
});

/** The registry that a prefix begins with. */
export function hostOfPrefix(prefix: string): string {
  const [host = ''] = prefix.split('/', 1);
  return host;
}

/** By the sender's names of repositories. */
export function byRepository<Schema extends z.core.$ZodType>(schema: Schema, description: string) {
  return z.record(z.string(), schema).meta({ description });
}

/** What a map of the configuration has under a name that a sender chose; never what every object has. */
export function entryOf<Value>(entries: Readonly<Record<string, Value>> = {}, name = ''): Value | undefined {
  return Object.hasOwn(entries, name) ? entries[name] : undefined;
}
