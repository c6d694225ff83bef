import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { text as settingText } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { allowedImages, imagesSetting, ofHosts, ofServiceOrPrivate, privateRegistries } from '../kit/allowed-images.ts';
import { bySignature } from '../kit/authentication.ts';
import { registryOfUrl } from '../kit/image.ts';
import { type EventReading, eventNamed, parsedFrom, part, readImage, requireObject, texts } from '../kit/reading.ts';
import { byRepository, entryOf, hostOfPrefix, imagePrefix, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';

const repositoryName = settingText('the name of a repository of Artifactory', /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);

const eventSchema = z.object({
  ...texts('domain', 'event_type', 'jpd_origin', 'source'),
  data: part(texts('repo_key', 'path', 'image_name', 'image_type', 'tag', 'sha256')),
});

/** Webhooks of JFrog Artifactory. @see https://jfrog.com/help/r/jfrog-platform-administration-documentation/domain-docker */
export const jfrogSource = defineSource({
  name: 'jfrog',
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The secret token of the webhook, which signs the payload.'),
        images: imagesSetting(`that of host and hosts; else ${privateRegistries}`),
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
  allowedImages: ({ images, host, hosts = {} }) => {
    const known = [...(host === undefined ? [] : [host]), ...Object.values(hosts)].map(hostOfPrefix);
    const otherwise = ofServiceOrPrivate('jfrog');
    // Where `host` is absent, the server says its own.
    const standing = host === undefined ? (at: string) => (known.includes(at) ? 'own' : otherwise(at)) : ofHosts(...known);
    return [{ path: [], allowed: allowedImages(images, standing) }];
  },
  create: ({ secrets, host, repositories, hosts }, context) => [
    {
      mediaTypeAdvice: 'Let a webhook of Artifactory send its own payload.',
      authenticationAdvice:
        'Expected the header X-Jfrog-Event-Auth with the signature of the payload. In the webhook, set the secret token of receivers.jfrog.secrets and tick that it signs the payload.',
      ...bySignature(context.read(secrets), { header: 'X-Jfrog-Event-Auth' }),
      parse({ body }) {
        const event = eventSchema.parse(requireObject(body));
        const { event_type: action, domain } = event;
        if (!action) throw malformed('Expected an event of Artifactory with its domain and event_type.');
        const key = event.data?.repo_key;
        const server = host ?? registryOfUrl(event.jpd_origin);
        const prefix = entryOf(hosts, key) ?? (server && `${server}/${entryOf(repositories, key) ?? key ?? ''}`);
        return parsedFrom([readEvent(event, prefix)], { action: 'unknown', ...eventNamed({ name: domain, action }, 40) });
      },
    },
  ],
});

/** @param prefix what stands before the names of the images of the event's repository */
function readEvent(event: z.infer<typeof eventSchema>, prefix: string | undefined): EventReading {
  const { domain, event_type: action, data = {}, source: user } = event;
  if (domain !== 'docker' || action !== 'pushed') return { ignored: 'expected the event pushed of the domain docker' };
  // Charts are in OCI repositories; what such a repository else holds cannot be told by the event.
  if (data.image_type && data.image_type.toLowerCase() !== 'docker') return { ignored: 'the artifact is not a Docker image' };
  // The path ends in the tag and the name of the manifest's file; the image's name alone may leave out what it is nested in.
  const segments = data.path?.split('/').filter((segment) => segment !== '');
  const path = segments?.slice(0, -2).join('/') ?? data.image_name;
  if (path && prefix === undefined) {
    return {
      ignored: 'jpd_origin is empty, so the registry is unknown: set a Custom Base URL at the server, or receivers.jfrog.host',
    };
  }
  const image = {
    name: path && `${prefix}/${path}`,
    tag: data.tag,
    // The file is the manifest, so its checksum is the digest.
    digest: data.sha256 && `sha256:${data.sha256.toLowerCase()}`,
    // `jfrog/USER`
    actor: user?.slice(0, 200).replace(/^jfrog\//, ''),
  };
  return readImage(image, 'Expected data.repo_key, and data.path as IMAGE/TAG/FILE.');
}
