import { randomUUID } from 'node:crypto';
import { byBearer, byHeader, bySignature, fromNetworks } from '../kit/authentication.ts';
import type { Receiver } from '../kit/receiver.ts';
import type { ReadSecrets } from '../kit/secrets.ts';
import { readSecrets } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';
import { createReadPushes } from './push.ts';
import { type GenericSender, genericSettings } from './settings.ts';

/** Whatever sends JSON and is no source of its own: each sender has a name, a path, and pointers to where its pushes are. */
export const genericSource = defineSource({
  name: 'generic',
  settings: genericSettings,
  create: (senders, context) =>
    Object.entries(senders).map(([name, sender]) =>
      createGenericReceiver(name, sender, readSecrets(sender.secrets, context.secrets, `receivers.generic.${name}.secrets`)),
    ),
});

export function createGenericReceiver(name: string, sender: Omit<GenericSender, 'secrets'>, secrets: ReadSecrets): Receiver {
  const source = `generic/${name}`;
  const readPushes = createReadPushes(sender, name);
  const { authenticate, challenge, carries } = proofOf(sender, secrets);
  return {
    source,
    path: `/webhook/${source}`,
    mediaTypes: sender.mediaTypes ?? ['application/json'],
    mediaTypeAdvice: `Where the sender says otherwise, set receivers.generic.${name}.mediaTypes.`,
    namesOneOfSeveralTags: false,
    challenge,
    authenticationAdvice: `Expected ${carries}. Set the same secret at the sender and in receivers.generic.${name}.secrets.`,
    authenticate: fromNetworks(sender.networks, authenticate),
    parse({ body }) {
      const found = readPushes(body);
      // What comes in one request is one delivery.
      const made = randomUUID();
      const images = found.images.map((image) => ({ deliveryId: made, ...image }));
      return { event: 'push', ...found, deliveryId: images[0]?.deliveryId ?? made, images };
    },
  };
}

/** `carries`: what authenticates a request in words, for the person who sets the sender up. */
function proofOf(
  { signature, header }: Pick<GenericSender, 'signature' | 'header'>,
  secrets: ReadSecrets,
): Pick<Receiver, 'authenticate' | 'challenge'> & { readonly carries: string } {
  if (signature !== undefined) {
    const { algorithm = 'sha256', prefix = '' } = signature;
    const method = `HMAC-${algorithm.toUpperCase()}`;
    const before = prefix === '' ? '' : ` after ${prefix}`;
    return {
      authenticate: bySignature(secrets, { ...signature, algorithm }),
      challenge: `${method} header="${signature.header}"`,
      carries: `the header ${signature.header} with the ${method} of the body, in hex${before}`,
    };
  }
  if (header !== undefined) {
    const carries = `the header ${header} with the secret`;
    return { authenticate: byHeader(secrets, header), challenge: `Secret header="${header}"`, carries };
  }
  return {
    authenticate: byBearer(secrets),
    challenge: 'Bearer realm="landfall"',
    carries: 'the header Authorization with a bearer token',
  };
}
