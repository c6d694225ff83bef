import { z } from 'zod';
import { credentialsInUrl, demandTls, plainHttp, type SecretCheck, secret } from '../../settings/scalars.ts';
import { parseSecretReference } from '../../settings/secrets.ts';
import { map, refusing } from '../../settings/wording.ts';
import { defineNotifier } from '../notifier.ts';

/** A POST of JSON to any address, signed. */
export const webhookNotifier = defineNotifier({
  kind: 'webhook',
  schema: webhookSchema,
  resolve: (settings) => ({ settings }),
  create: async (context) => (await import('./notifier.ts')).createWebhook(context),
});

function webhookSchema(check: SecretCheck) {
  const expected = 'expected a URL that begins with http:// or https://, or env:NAME or file:PATH of one';
  // What is no good URL may hold a secret, so it is not shown.
  const problemOf = (value: string) => {
    if (parseSecretReference(value) !== undefined) return check(value);
    if (!/^https?:\/\/[^\s/]+/.test(value) || !URL.canParse(value)) return expected;
    return credentialsInUrl.test(value)
      ? 'expected a URL without user, password or token: as env:NAME or file:PATH it may have them'
      : undefined;
  };
  return map(
    {
      url: z.string(expected).superRefine(refusing(problemOf)).describe('Where to, or the secret reference of it.'),
      plainHttp: plainHttp.exactOptional(),
      secret: secret(check).describe('Secret reference of the key of the signature.'),
    },
    'A POST of JSON, signed with HMAC-SHA256.',
  ).superRefine(demandTls('url'));
}
