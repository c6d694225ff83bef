import { randomUUID } from 'node:crypto';
import { byBearer, byHeader, bySignature, fromNetworks } from '../kit/authentication.ts';
import type { Authentication, Receiver } from '../kit/receiver.ts';
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
  const { authentication, challenge, carries } = proofOf(sender, secrets);
  return {
    source,
    path: `/webhook/${source}`,
    mediaTypes: sender.mediaTypes ?? ['application/json'],
    mediaTypeAdvice: `Where the sender says otherwise, set receivers.generic.${name}.mediaTypes.`,
    namesOneOfSeveralTags: false,
    challenge,
    authenticationAdvice: `Expected ${carries}. Set the same secret at the sender and in receivers.generic.${name}.secrets.`,
    authentication: fromNetworks(sender.networks, authentication),
    parse({ body, receivedAt }) {
      const { pushes: found, ignored } = readPushes(body);
      // What comes in one request is one delivery.
      const made = randomUUID();
      const pushes = found.map(({ deliveryId = made, ...push }) => ({ source, deliveryId, receivedAt, ...push }));
      return { event: 'push', deliveryId: pushes[0]?.deliveryId ?? made, pushes, ...(ignored !== undefined && { ignored }) };
    },
  };
}

interface Proof {
  readonly authentication: Authentication;
  /** `WWW-Authenticate` */
  readonly challenge: string;
  /** In words, for the person who set the sender up. */
  readonly carries: string;
}

function proofOf({ signature, header }: Pick<GenericSender, 'signature' | 'header'>, secrets: ReadSecrets): Proof {
  if (signature !== undefined) {
    const { algorithm = 'sha256', prefix = '' } = signature;
    const method = `HMAC-${algorithm.toUpperCase()}`;
    const before = prefix === '' ? '' : ` after ${prefix}`;
    return {
      authentication: bySignature(secrets, { ...signature, algorithm }),
      challenge: `${method} header="${signature.header}"`,
      carries: `the header ${signature.header} with the ${method} of the body, in hex${before}`,
    };
  }
  if (header !== undefined) {
    const carries = `the header ${header} with the secret`;
    return { authentication: byHeader(secrets, header), challenge: `Secret header="${header}"`, carries };
  }
  return {
    authentication: byBearer(secrets),
    challenge: 'Bearer realm="landfall"',
    carries: 'the header Authorization with a bearer token',
  };
}
