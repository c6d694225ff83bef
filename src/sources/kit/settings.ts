import { z } from 'zod';
import { type SecretCheck, secret, text } from '../../settings/scalars.ts';
import { presentSecrets, type SecretResolver } from '../../settings/secrets.ts';
import { type ReadSecrets, requireSecrets } from './secrets.ts';

/** What the settings of several sources have in common. */

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
    .transform((value): readonly string[] => (typeof value === 'string' ? [value] : value))
    .meta({ description: `${what} Any of a list verifies, so that it can be rotated.` });
}

/** @throws Error if there is none, or an empty one */
export function readSecrets(references: readonly string[], secrets: SecretResolver, setting: string): ReadSecrets {
  return requireSecrets(() => presentSecrets(secrets, references), setting);
}

export const headerName = text('the name of a header', /^[A-Za-z0-9_-]{1,100}$/);
