import type { z } from 'zod';
import { networks } from '../../settings/networks.ts';
import type { SecretCheck } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { byPathOrHeader, fromNetworks } from './authentication.ts';
import type { Receiver } from './receiver.ts';
import type { ReadSecrets } from './secrets.ts';
import { readSecrets, secretList } from './settings.ts';
import type { SourceContext } from './source.ts';

/**
 * Sources that sign nothing: who knows the secret at the end of the URL is the source. Where the source can send headers, the secret can
 * stand in `Authorization` instead.
 */

export const senderNetworks = networks
  .meta({ description: "Networks (CIDR) or addresses of the source's servers. Default: any." })
  .exactOptional();

export function secretOfPath(check: SecretCheck) {
  return secretList(check, 'What stands after the path in the URL of the webhook, or in its header Authorization.');
}

export function pathSecretSettings(check: SecretCheck, description: string) {
  return map({ secrets: secretOfPath(check), networks: senderNetworks }, description);
}
export type PathSecretSettings = z.output<ReturnType<typeof pathSecretSettings>>;

export interface PathSecretSource {
  readonly source: string;
  /** Where people set the webhook up, for the answer to a request that is not authentic. */
  readonly setUpAt: string;
}

export type PathSecretReceiver = Omit<Receiver, 'parse'>;

/** A receiver on `/webhook/SOURCE`, without how it reads the body. @throws Error if there is no secret, or an empty one */
export function openPathSecret(
  about: PathSecretSource,
  { secrets, networks }: PathSecretSettings,
  context: SourceContext,
): PathSecretReceiver {
  const read = readSecrets(secrets, context.secrets, `receivers.${about.source}.secrets`);
  return createPathSecretReceiver(about, read, networks);
}

export function createPathSecretReceiver(
  { source, setUpAt }: PathSecretSource,
  secrets: ReadSecrets,
  networks?: readonly string[],
): PathSecretReceiver {
  const path = `/webhook/${source}`;
  return {
    source,
    path,
    secretInPath: true,
    mediaTypes: ['application/json'],
    mediaTypeAdvice: `This is the path of the webhooks of ${setUpAt}, which send it by themselves.`,
    namesOneOfSeveralTags: false,
    challenge: 'Bearer realm="landfall"',
    authenticationAdvice: `Expected one of the secrets of receivers.${source}.secrets after ${path}/ in the URL, or in the header Authorization${networks === undefined ? '' : `, from one of the networks of receivers.${source}.networks`}. Set the URL up in the settings of the webhook at ${setUpAt}.`,
    authenticate: fromNetworks(networks, byPathOrHeader(secrets)),
  };
}
