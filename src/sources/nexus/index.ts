import { z } from 'zod';
import { map } from '../../settings/wording.ts';
import { allowedImages, imagesSetting, ofHosts } from '../kit/allowed-images.ts';
import { bySignature } from '../kit/authentication.ts';
import { type EventReading, eventNamed, headerIn, parsedFrom, part, readImage, requireObject, texts } from '../kit/reading.ts';
import { byRepository, entryOf, hostOfPrefix, imagePrefix, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';

const eventSchema = z.object({
  ...texts('repositoryName', 'action', 'initiator'),
  component: part(texts('format', 'name', 'version')),
  asset: part(texts('format', 'name')),
});

/**
 * Webhooks of repositories of Sonatype Nexus 3, about their components or their assets.
 * @see https://help.sonatype.com/en/example-headers-and-payloads.html
 */
export const nexusSource = defineSource({
  name: 'nexus',
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The secret key of the webhook.'),
        hosts: byRepository(
          imagePrefix,
          'Repositories of Nexus, each with the registry that its images are pulled from: its connector, or the server and a path.',
        ).exactOptional(),
        images: imagesSetting('those of hosts and host'),
        host: imagePrefix.exactOptional().meta({ description: 'The registry of all other repositories.' }),
      },
      'Nexus webhooks on POST /webhook/nexus.',
    ).refine(({ host, hosts }) => host !== undefined || hosts !== undefined, {
      error: 'expected hosts (or host): Nexus does not say where its images are pulled from',
    }),
  allowedImages: ({ images, host, hosts = {} }) => {
    const known = [...(host === undefined ? [] : [host]), ...Object.values(hosts)].map(hostOfPrefix);
    return [{ path: [], allowed: allowedImages(images, ofHosts(...known)) }];
  },
  create: ({ secrets, host, hosts }, context) => [
    {
      mediaTypeAdvice: 'Let a capability of the type Webhook: Repository send it.',
      authenticationAdvice:
        'Expected the header X-Nexus-Webhook-Signature with the signature of the body. Set the same secret key in the capability of Nexus and in receivers.nexus.secrets.',
      shownHeaders: ['x-nexus-webhook-id', 'x-nexus-webhook-delivery'],
      ...bySignature(context.read(secrets), { header: 'X-Nexus-Webhook-Signature', algorithm: 'sha1' }),
      parse({ headers, body }) {
        const event = eventSchema.parse(requireObject(body));
        const [name, id] = ['id', 'delivery'].map((each) => headerIn(headers, `x-nexus-webhook-${each}`));
        const about = { action: 'unknown', ...eventNamed({ name, action: event.action, id }) };
        return parsedFrom([readEvent(event, entryOf(hosts, event.repositoryName) ?? host)], about);
      },
    },
  ],
});

/** @param registry that the images of the event's repository are pulled from */
function readEvent(event: z.infer<typeof eventSchema>, registry: string | undefined): EventReading {
  const { component, asset, action, initiator = '' } = event;
  const format = (component ?? asset)?.format;
  if (format?.toLowerCase() !== 'docker') return { ignored: 'expected a component or an asset of the format docker' };
  if (action !== 'CREATED' && action !== 'UPDATED') return { ignored: 'expected the action CREATED or UPDATED' };
  // Assets are blobs (`v2/-/blobs/DIGEST`) and manifests (`v2/NAME/manifests/TAG`); current versions begin them with a slash.
  const [, path, reference] = /^\/?v2\/(.+)\/manifests\/([^/]+)$/s.exec(asset?.name?.slice(0, 1000) ?? '') ?? [];
  const { name, version: tag } = component ?? { name: path, version: reference };
  if (registry === undefined) return { ignored: 'receivers.nexus.hosts does not name the registry of this repository' };
  // `USER/ADDRESS`
  const [actor] = initiator.slice(0, 200).split('/');
  return readImage({ name: name && `${registry}/${name}`, tag, actor }, 'Expected a component with name and version.');
}
