import type { z } from 'zod';
import { networks } from '../../settings/networks.ts';
import type { SecretCheck } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { allowedImages, imagesSetting } from './allowed-images.ts';
import { byPathOrHeader, fromNetworks } from './authentication.ts';
import { secretList } from './settings.ts';
import { defineSource, type OwnContext, type OwnReceiver, type Receiver } from './source.ts';

/** Sources that sign nothing: who knows the secret at the end of the URL, or in `Authorization`, is the source. */

export const senderNetworks = networks
  .meta({ description: "Networks (CIDR) or addresses of the source's servers. Default: any." })
  .exactOptional();

export function secretOfPath(check: SecretCheck) {
  return secretList(check, 'What stands after the path in the URL of the webhook, or in its header Authorization.');
}

function pathSecretSettings(
  check: SecretCheck,
  { description, usualImages }: Pick<PathSecretSource<string>, 'description' | 'usualImages'>,
) {
  const images = imagesSetting(usualImages);
  return map({ secrets: secretOfPath(check), images, networks: senderNetworks }, description);
}
export type PathSecretSettings = z.output<ReturnType<typeof pathSecretSettings>>;

export interface PathSecretSource<Name extends string> extends Pick<Receiver, 'parse'> {
  readonly name: Name;
  readonly description: string;
  /** Where people set the webhook up, for the answer to a request that is not authentic. */
  readonly setUpAt: string;
  /** What is known of registries where the setting `images` is absent, and what that means for people. */
  readonly registries: Parameters<typeof allowedImages>[1];
  readonly usualImages: string;
}

export function definePathSecretSource<Name extends string>(source: PathSecretSource<Name>) {
  return defineSource({
    name: source.name,
    settings: (check) => pathSecretSettings(check, source),
    allowedImages: ({ images }) => [{ path: [], allowed: allowedImages(images, source.registries) }],
    create: (settings, context) => [pathSecretReceiver(source, settings, context)],
  });
}

/** @throws Error if there is no secret, or an empty one */
export function pathSecretReceiver(
  { name, setUpAt, parse }: Pick<PathSecretSource<string>, 'name' | 'setUpAt' | 'parse'>,
  { secrets, networks }: PathSecretSettings,
  context: OwnContext,
): OwnReceiver {
  return {
    secretInPath: true,
    mediaTypeAdvice: `This is the path of the webhooks of ${setUpAt}, which send it by themselves.`,
    challenge: 'Bearer realm="landfall"',
    authenticationAdvice: `Expected one of the secrets of receivers.${name}.secrets after /webhook/${name}/ in the URL, or in the header Authorization. Set the URL up in the settings of the webhook at ${setUpAt}.`,
    authenticate: fromNetworks(networks, byPathOrHeader(context.read(secrets))),
    parse,
  };
}
