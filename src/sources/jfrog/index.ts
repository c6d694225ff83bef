import { malformed } from '../../http/problem.ts';
import { text as settingText } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { bySignature } from '../kit/authentication.ts';
import { part, text } from '../kit/loose.ts';
import { type EventReading, type PushDetails, parsedFrom, readImage, withDetails } from '../kit/readings.ts';
import type { AuthenticRequest, ParsedRequest, Receiver } from '../kit/receiver.ts';
import { byRepository, entryOf, imagePrefix, registryOfUrl } from '../kit/registry-host.ts';
import type { ReadSecrets } from '../kit/secrets.ts';
import { deliveryIdOf, printableLine } from '../kit/sender-text.ts';
import { readSecrets, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';

const source = 'jfrog';

/** How images of Artifactory are named. */
export interface ArtifactoryNames {
  readonly host?: string;
  readonly repositories?: Readonly<Record<string, string>>;
  readonly hosts?: Readonly<Record<string, string>>;
}

const repositoryName = settingText('the name of a repository of Artifactory', /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);

/**
 * Webhooks of JFrog Artifactory.
 * @see https://jfrog.com/help/r/jfrog-platform-administration-documentation/domain-docker
 */
export const jfrogSource = defineSource({
  name: source,
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The secret token of the webhook, which signs the payload.'),
        host: imagePrefix.exactOptional().meta({
          description:
            'Registry that images are named after; default: the Custom Base URL, which the server sends where it has one.',
        }),
        repositories: byRepository(
          repositoryName,
          'Local repositories, each with the (virtual) one that its images are pulled from.',
        ).exactOptional(),
        hosts: byRepository(
          imagePrefix,
          'Local repositories that have a host of their own, each with it; their images are named HOST/NAME.',
        ).exactOptional(),
      },
      'Artifactory webhooks on POST /webhook/jfrog.',
    ),
  create({ secrets, ...names }, context) {
    return [createJfrogReceiver(readSecrets(secrets, context.secrets, 'receivers.jfrog.secrets'), names)];
  },
});

export function createJfrogReceiver(secrets: ReadSecrets, names: ArtifactoryNames = {}): Receiver {
  return {
    source,
    path: '/webhook/jfrog',
    mediaTypes: ['application/json'],
    mediaTypeAdvice: 'Let a webhook of Artifactory send its own payload.',
    namesOneOfSeveralTags: false,
    challenge: 'HMAC-SHA256 header="X-Jfrog-Event-Auth"',
    authenticationAdvice:
      'Expected the header X-Jfrog-Event-Auth with the signature of the payload. In the webhook, set the secret token of receivers.jfrog.secrets and tick that it signs the payload.',
    authenticate: bySignature(secrets, { header: 'X-Jfrog-Event-Auth' }),
    parse: ({ body }: AuthenticRequest): ParsedRequest => {
      const event = eventSchema.parse(body);
      if (event === undefined) throw malformed('Expected a JSON object.');
      const { event_type: action, domain } = event;
      if (!action) throw malformed('Expected an event of Artifactory with its domain and event_type.');
      return parsedFrom([readEvent(event, names)], {
        event: printableLine(domain, 40) ?? 'unknown',
        action: printableLine(action, 40) ?? 'unknown',
        deliveryId: deliveryIdOf(undefined),
      });
    },
  };
}

const eventSchema = part({
  domain: text,
  event_type: text,
  jpd_origin: text,
  source: text,
  data: part({ repo_key: text, path: text, image_name: text, image_type: text, tag: text, sha256: text }),
});
type ArtifactoryEvent = NonNullable<ReturnType<typeof eventSchema.parse>>;

function readEvent(
  { domain, event_type: action, jpd_origin: origin, data = {}, source: user }: ArtifactoryEvent,
  names: ArtifactoryNames,
): EventReading {
  if (domain !== 'docker' || action !== 'pushed') return { ignored: 'expected the event pushed of the domain docker' };
  // Charts are in OCI repositories; what such a repository else holds cannot be told by the event.
  if (data.image_type && data.image_type.toLowerCase() !== 'docker') return { ignored: 'the artifact is not a Docker image' };
  const path = pathOf(data.path, data.image_name);
  const prefix = prefixOf(data.repo_key, origin, names);
  if (path !== undefined && prefix === undefined) {
    return {
      ignored: 'jpd_origin is empty, so the registry is unknown: set a Custom Base URL at the server, or receivers.jfrog.host',
    };
  }
  const image = {
    name: path === undefined ? undefined : `${prefix}/${path}`,
    tag: data.tag,
    // The file is the manifest, so its checksum is the digest.
    digest: data.sha256 === undefined ? undefined : `sha256:${data.sha256.toLowerCase()}`,
  };
  return withDetails(readImage(image, 'Expected data.repo_key, and data.path as IMAGE/TAG/FILE.'), pushedBy(user));
}

/** The path ends in the tag and the name of the manifest's file; the image's name alone may leave out what it is nested in. */
function pathOf(path: string | undefined, name: string | undefined): string | undefined {
  if (path === undefined) return name || undefined;
  return (
    path
      .split('/')
      .filter((segment) => segment !== '')
      .slice(0, -2)
      .join('/') || undefined
  );
}

function prefixOf(key: string | undefined, origin: string | undefined, names: ArtifactoryNames): string | undefined {
  const own = entryOf(names.hosts, key);
  if (own !== undefined) return own;
  const host = names.host ?? registryOfUrl(origin);
  const repository = entryOf(names.repositories, key) ?? key;
  return host === undefined ? undefined : `${host}/${repository ?? ''}`;
}

/** `jfrog/USER` */
function pushedBy(user: string | undefined): PushDetails {
  const actor = printableLine(user?.slice(0, 200).replace(/^jfrog\//, ''), 100);
  return actor === undefined ? {} : { actor };
}
