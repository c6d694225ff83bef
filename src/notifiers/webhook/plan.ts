import { z } from 'zod';
import { credentialsInUrl, type SecretCheck, secret } from '../../settings/scalars.ts';
import { parseSecretReference } from '../../settings/secrets.ts';
import { map } from '../../settings/wording.ts';

/** What the configuration says of a webhook. */

export interface WebhookTarget {
  /** A URL, or the reference of one. */
  readonly url: string;
  /** Reference of the key of the signature. */
  readonly secret: string;
}

export function webhookSchema(check: SecretCheck) {
  const expected = 'a URL that begins with http:// or https://, or env:NAME or file:PATH of one';
  return map(
    {
      url: z
        .string({ error: `expected ${expected}` })
        .superRefine((value, context) => {
          const isReference = parseSecretReference(value) !== undefined;
          // What is no good URL may hold a secret, so it is not shown.
          const message = isReference ? check(value) : problemOfUrl(value, expected);
          if (message !== undefined) context.addIssue({ code: 'custom', message });
        })
        .meta({ description: 'Where to, or the secret reference of it.' }),
      secret: secret(check).meta({ description: 'Secret reference of the key of the signature.' }),
    },
    'A POST of JSON, signed with HMAC-SHA256.',
  );
}

function problemOfUrl(value: string, expected: string): string | undefined {
  if (!/^https?:\/\/[^\s/]+/.test(value) || !URL.canParse(value)) return `expected ${expected}`;
  return credentialsInUrl.test(value)
    ? 'expected a URL without user, password or token: as env:NAME or file:PATH it may have them'
    : undefined;
}
