import { z } from 'zod';
import { isImageConfig } from '../../domain/image-config.ts';
import { isTag, type Repository } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { allowedImages, imagesSetting, ofServiceOrPrivate, privateRegistries } from '../kit/allowed-images.ts';
import { byBearer } from '../kit/authentication.ts';
import { registryAt, repositoryIn } from '../kit/image.ts';
import { bounded, deliveryIdOf, digestIn, listOf, originIn, part, printableLine, texts } from '../kit/reading.ts';
import { secretList } from '../kit/settings.ts';
import {
  type AuthenticRequest,
  defineSource,
  onlyRoutine,
  type ParsedRequest,
  type PushedImage,
  type RoutineEvent,
} from '../kit/source.ts';

/** Version 3 of the registry calls the same content v2. */
const mediaTypes = [
  'application/vnd.docker.distribution.events.v1+json',
  'application/vnd.docker.distribution.events.v2+json',
  'application/json',
];
/** What lists its config among its references; an index refers to manifests instead. */
const manifests = ['application/vnd.docker.distribution.manifest.v2+json', 'application/vnd.oci.image.manifest.v1+json'];

/**
 * Notifications of the CNCF distribution registry (`registry:2`) and of what is built on it: GitLab, Harbor's core. It sends
 * whatever is not answered with 2xx or 3xx again without end, and everything after it waits: so what is not wanted is ignored, not
 * refused.
 * @see https://distribution.github.io/distribution/about/notifications/
 */
export const distributionSource = defineSource({
  name: 'distribution',
  settings: (check) =>
    map(
      { token: secretList(check, 'Bearer token that the registry sends.'), images: imagesSetting(privateRegistries) },
      'Notifications of a distribution registry on POST /webhook/distribution.',
    ),
  example: '{ token: env:REGISTRY_HOOK_TOKEN }',
  allowedImages: ({ images }) => [{ path: [], allowed: allowedImages(images, ofServiceOrPrivate('distribution')) }],
  create: ({ token }, context) => [
    {
      mediaTypes,
      mediaTypeAdvice: 'Point an endpoint of the section notifications of the registry here.',
      challenge: 'Bearer realm="landfall"',
      authenticationAdvice:
        "Expected the header Authorization with a bearer token. Set the same token in the headers of the registry's notification endpoint and in receivers.distribution.token.",
      shownHeaders: ['x-gitlab-event', 'x-gitlab-event-uuid'],
      authenticate: byBearer(context.read(token, 'token')),
      parse,
    },
  ],
});

const eventSchema = z.object({
  ...texts('id', 'action'),
  target: z.object({
    ...texts('mediaType', 'repository', 'tag', 'digest', 'url'),
    references: listOf(z.object(texts('mediaType'))),
  }),
  request: part(texts('host')),
  actor: part(texts('name')),
});
type RegistryEvent = z.infer<typeof eventSchema>;

/** A registry sends one, and a proxy of its own perhaps some more; what is refused comes again without end, so this is generous. */
const mostEvents = 10_000;

const envelopeSchema = z.object({ events: z.array(z.unknown()) });

function parse({ body }: AuthenticRequest): ParsedRequest {
  const envelope = envelopeSchema.safeParse(body);
  if (!envelope.success) throw malformed('Expected a JSON object with the list events.');
  const events = bounded(envelope.data.events, mostEvents).flatMap((event) => eventSchema.safeParse(event).data ?? []);
  const images = events.flatMap((event) => imageOf(event) ?? []);
  const deliveryId = images[0]?.deliveryId ?? deliveryIdOf(events[0]?.id);
  const action = [...new Set(events.map((event) => printableLine(event.action, 20) ?? 'unknown'))].slice(0, 5).join(',');
  const counted = events.flatMap((event) => routineOf(event) ?? []);
  const routine = Object.fromEntries([...new Set(counted)].map((kind) => [kind, counted.filter((one) => one === kind).length]));
  const seen = { event: 'notification', ...(action !== '' && { action }), deliveryId, images };
  const whole = counted.length === 0 ? seen : { ...seen, routine };
  return images.length > 0 ? whole : { ...whole, ignored: notOne(events.length, counted.length) };
}

function notOne(events: number, routine: number): string {
  return events > 0 && events === routine ? onlyRoutine : 'none of the events is the push of a tagged image';
}

/** What a registry tells of each layer that is pushed, and whenever anybody pulls. */
function routineOf({ action, target }: RegistryEvent): RoutineEvent | undefined {
  if (action === 'pull' || action === 'mount') return action;
  return action === 'push' && target.mediaType === 'application/octet-stream' ? 'blob' : undefined;
}

/** Blobs and the platform manifests of an index are pushed without a tag; a deleted or pulled tag is told by its action alone. */
function imageOf(event: RegistryEvent): PushedImage | undefined {
  const { target } = event;
  if (event.action !== 'push' || target.tag === undefined || !isTag(target.tag)) return undefined;
  // A chart has the media type of any OCI manifest; if the registry lists its references, the config among them tells.
  const listed = target.references.flatMap(({ mediaType }) => mediaType ?? []);
  if (manifests.includes(target.mediaType ?? '') && listed.length > 0 && !listed.some(isImageConfig)) return undefined;
  const repository = repositoryOf(event);
  if (repository === undefined) return undefined;
  return {
    deliveryId: deliveryIdOf(event.id),
    repository,
    tag: target.tag,
    ...digestIn(target.digest),
    ...originIn({ actor: event.actor?.name }),
  };
}

/** The host that the pusher used, which is the one that images are named after; `source.addr` is the registry's own idea of itself. */
function repositoryOf({ target, request }: RegistryEvent): Repository | undefined {
  if (target.repository === undefined) return undefined;
  const url = target.url !== undefined && URL.canParse(target.url) ? new URL(target.url) : undefined;
  const host = request?.host || url?.host;
  return host ? repositoryIn(`${registryAt(host, url?.protocol)}/${target.repository}`) : undefined;
}
