import type { CloudEvent } from '../cloudevents/envelope.ts';
import { isOtherArtifact, repositoryIn } from '../kit/image.ts';
import { type EventReading, part, readImage, texts } from '../kit/reading.ts';

/** Of Event Grid: `Microsoft.ContainerRegistry.ImagePushed`. */
export function isAcrCloudEvent({ type }: CloudEvent): boolean {
  return /^Microsoft\.ContainerRegistry\./i.test(type);
}

const eventSchema = part({
  ...texts('action'),
  target: part(texts('mediaType', 'repository', 'tag', 'digest')),
  request: part(texts('host')),
});

/**
 * What Azure Container Registry says of what happened in it: the body of its webhooks, and `data` of a CloudEvent of Event Grid.
 * @see https://learn.microsoft.com/azure/event-grid/event-schema-container-registry
 */
export function readAcrEvent(value: unknown): EventReading {
  const { action, target, request } = eventSchema.parse(value) ?? {};
  const done = action?.toLowerCase();
  if (done === 'ping') return { ignored: 'a ping: the webhook is set up and its secret is right' };
  if (done === 'chart_push') return { ignored: 'a chart was pushed, which is not a container image' };
  if (done !== 'push') return { ignored: 'expected the action push' };
  if (isOtherArtifact(target?.mediaType)) return { ignored: 'an artifact that is not a container image' };
  // The host that the pusher used.
  const [host, path] = [request?.host?.trim(), target?.repository?.trim()];
  const name = host && path && !host.includes('/') ? `${host}/${path}` : undefined;
  const expected = 'Expected the image in target.repository and its registry in request.host.';
  // Before the tag is looked at: a body that names no image at all is not what Azure sends.
  if (repositoryIn(name) === undefined) return { malformed: expected };
  return readImage({ name, tag: target?.tag, digest: target?.digest }, expected);
}
