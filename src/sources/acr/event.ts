import type { CloudEvent } from '../cloudevents/envelope.ts';
import { repositoryIn } from '../kit/image.ts';
import { part, text } from '../kit/loose.ts';
import { isOtherArtifact } from '../kit/pushed-artifact.ts';
import { type EventReading, readImage } from '../kit/readings.ts';

const eventSchema = part({
  action: text,
  target: part({ mediaType: text, repository: text, tag: text, digest: text }),
  request: part({ host: text }),
});
type AcrEvent = NonNullable<ReturnType<typeof eventSchema.parse>>;

const expected = 'Expected the image in target.repository and its registry in request.host.';

/** Of Event Grid: `Microsoft.ContainerRegistry.ImagePushed`. */
export function isAcrCloudEvent({ type }: CloudEvent): boolean {
  return /^Microsoft\.ContainerRegistry\./i.test(type);
}

/**
 * What Azure Container Registry says of what happened in it: the body of its webhooks, and `data` of a CloudEvent of Event Grid.
 * @see https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference
 * @see https://learn.microsoft.com/azure/event-grid/event-schema-container-registry
 */
export function readAcrEvent(value: unknown): EventReading {
  const event = eventSchema.parse(value) ?? {};
  const ignored = whyNot(event);
  if (ignored !== undefined) return { ignored };
  const { target } = event;
  const name = nameOf(event);
  // Before the tag is looked at: a body that names no image at all is not what Azure sends.
  if (repositoryIn(name) === undefined) return { malformed: expected };
  return readImage({ name, tag: target?.tag, digest: target?.digest }, expected);
}

function whyNot({ action, target }: AcrEvent): string | undefined {
  const done = action?.toLowerCase();
  if (done === 'ping') return 'a ping: the webhook is set up and its secret is right';
  if (done === 'chart_push') return 'a chart was pushed, which is not a container image';
  if (done !== 'push') return 'expected the action push';
  return isOtherArtifact(target?.mediaType) ? 'an artifact that is not a container image' : undefined;
}

/** The host that the pusher used. */
function nameOf({ target, request }: AcrEvent): string | undefined {
  const [host, name] = [request?.host?.trim(), target?.repository?.trim()];
  return host && name && !host.includes('/') ? `${host}/${name}` : undefined;
}
