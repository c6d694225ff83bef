import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { bySignature } from '../kit/authentication.ts';
import { part, text } from '../kit/loose.ts';
import { type EventReading, type PushDetails, parsedFrom, readImage, withDetails } from '../kit/readings.ts';
import type { AuthenticRequest, ParsedRequest, Receiver } from '../kit/receiver.ts';
import { byRepository, entryOf, imagePrefix } from '../kit/registry-host.ts';
import type { ReadSecrets } from '../kit/secrets.ts';
import { deliveryIdOf, printableLine } from '../kit/sender-text.ts';
import { readSecrets, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';

const source = 'nexus';

/** How images of Nexus are named. */
export interface NexusNames {
  readonly host?: string;
  readonly hosts?: Readonly<Record<string, string>>;
}

/**
 * Webhooks of repositories of Sonatype Nexus 3, about their components or their assets.
 * @see https://help.sonatype.com/en/example-headers-and-payloads.html
 */
export const nexusSource = defineSource({
  name: source,
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The secret key of the webhook.'),
        hosts: byRepository(
          imagePrefix,
          'Repositories of Nexus, each with the registry that its images are pulled from: its connector, or the server and a path.',
        ).exactOptional(),
        host: imagePrefix.exactOptional().meta({ description: 'The registry of all other repositories.' }),
      },
      'Nexus webhooks on POST /webhook/nexus.',
    ).refine(({ host, hosts }) => host !== undefined || hosts !== undefined, {
      error: 'expected hosts (or host): Nexus does not say where its images are pulled from',
    }),
  create({ secrets, ...names }, context) {
    return [createNexusReceiver(readSecrets(secrets, context.secrets, 'receivers.nexus.secrets'), names)];
  },
});

export function createNexusReceiver(secrets: ReadSecrets, names: NexusNames): Receiver {
  return {
    source,
    path: '/webhook/nexus',
    mediaTypes: ['application/json'],
    mediaTypeAdvice: 'Let a capability of the type Webhook: Repository send it.',
    namesOneOfSeveralTags: false,
    challenge: 'HMAC-SHA1 header="X-Nexus-Webhook-Signature"',
    authenticationAdvice:
      'Expected the header X-Nexus-Webhook-Signature with the signature of the body. Set the same secret key in the capability of Nexus and in receivers.nexus.secrets.',
    shownHeaders: ['x-nexus-webhook-id', 'x-nexus-webhook-delivery'],
    authenticate: bySignature(secrets, { header: 'X-Nexus-Webhook-Signature', algorithm: 'sha1' }),
    parse: ({ headers, body }: AuthenticRequest): ParsedRequest => {
      const event = eventSchema.parse(body);
      if (event === undefined) throw malformed('Expected a JSON object.');
      const id = headers['x-nexus-webhook-id'];
      const delivery = headers['x-nexus-webhook-delivery'];
      return parsedFrom([readEvent(event, names)], {
        event: printableLine(typeof id === 'string' ? id : undefined, 60) ?? 'unknown',
        action: printableLine(event.action, 40) ?? 'unknown',
        deliveryId: deliveryIdOf(typeof delivery === 'string' ? delivery : undefined),
      });
    },
  };
}

const eventSchema = part({
  repositoryName: text,
  action: text,
  initiator: text,
  component: part({ format: text, name: text, version: text }),
  asset: part({ format: text, name: text }),
});
type NexusEvent = NonNullable<ReturnType<typeof eventSchema.parse>>;

function readEvent(event: NexusEvent, names: NexusNames): EventReading {
  const { component, asset, repositoryName } = event;
  const format = (component ?? asset)?.format;
  if (format?.toLowerCase() !== 'docker') return { ignored: 'expected a component or an asset of the format docker' };
  if (event.action !== 'CREATED' && event.action !== 'UPDATED') return { ignored: 'expected the action CREATED or UPDATED' };
  const named = component === undefined ? nameOfAsset(asset?.name) : { name: component.name, tag: component.version };
  const prefix = entryOf(names.hosts, repositoryName) ?? names.host;
  if (prefix === undefined) return { ignored: 'receivers.nexus.hosts does not name the registry of this repository' };
  const image = { tag: named?.tag, name: named?.name ? `${prefix}/${named.name}` : undefined };
  return withDetails(readImage(image, 'Expected a component with name and version.'), pushedBy(event.initiator));
}

/** Assets are blobs (`v2/-/blobs/DIGEST`) and manifests (`v2/NAME/manifests/TAG`); current versions begin them with a slash. */
function nameOfAsset(path: string | undefined): { readonly name: string; readonly tag: string } | undefined {
  const [, name, tag] = /^\/?v2\/(.+)\/manifests\/([^/]+)$/s.exec(path?.slice(0, 1000) ?? '') ?? [];
  return name === undefined || tag === undefined ? undefined : { name, tag };
}

/** `USER/ADDRESS` */
function pushedBy(initiator: string | undefined): PushDetails {
  const [user] = (initiator ?? '').slice(0, 200).split('/');
  const actor = printableLine(user, 100);
  return actor === undefined ? {} : { actor };
}
