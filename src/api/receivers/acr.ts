import { z } from 'zod';
import type { Repository } from '../../domain/image-reference.ts';
import { malformed } from '../problem.ts';
import { repositoryIn, tagAndDigest } from './image.ts';
import { part, text } from './loose.ts';
import { openPathSecret, pathSecretSettings } from './path-secret.ts';
import { isObject, isOtherArtifact } from './pushed-artifact.ts';
import type { ParsedRequest, ReceivedRequest } from './receiver.ts';
import { deliveryIdOf, printableLine } from './sender-text.ts';
import { defineSource } from './source.ts';

const source = 'acr';

/**
 * Webhooks of Azure Container Registry. Any header can be configured at the webhook, so the secret can stand in `Authorization`.
 * @see https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference
 */
export const acrSource = defineSource({
  name: source,
  settings: (check) =>
    pathSecretSettings(
      check,
      'Azure Container Registry webhooks on POST /webhook/acr/SECRET, or /webhook/acr with the secret in Authorization.',
    ),
  create(settings, context) {
    return [{ ...openPathSecret({ source, setUpAt: 'Azure Container Registry' }, settings, context), parse }];
  },
});

const bodySchema = z.object({
  id: text,
  action: text,
  target: part({ mediaType: text, repository: text, tag: text, digest: text }),
  request: part({ host: text }),
});
type Body = z.infer<typeof bodySchema>;

function parse({ body, receivedAt }: ReceivedRequest): ParsedRequest {
  if (!isObject(body)) throw malformed('Expected a JSON object.');
  const event = bodySchema.parse(body);
  const { id, target } = event;
  const action = printableLine(event.action, 40)?.toLowerCase();
  if (action === undefined) throw malformed('Expected the action of the event as text.');
  const deliveryId = deliveryIdOf(id);
  const seen = { event: 'webhook', action, deliveryId };
  const ignored = whyNot(action, event);
  if (ignored !== undefined) return { ...seen, pushes: [], ignored };
  const repository = repositoryOf(event);
  if (repository === undefined) throw malformed('Expected the image in target.repository and its registry in request.host.');
  const image = tagAndDigest(target?.tag, target?.digest);
  if (image === undefined) return { ...seen, pushes: [], ignored: 'no tag was pushed' };
  return { ...seen, pushes: [{ source, deliveryId, repository, ...image, receivedAt }] };
}

function whyNot(action: string, { target }: Body): string | undefined {
  if (action === 'ping') return 'a ping: the webhook is set up and its secret is right';
  if (action === 'chart_push') return 'a chart was pushed, which is not a container image';
  if (action !== 'push') return 'expected the action push';
  return isOtherArtifact(target?.mediaType) ? 'an artifact that is not a container image' : undefined;
}

/** The host that the pusher used. */
function repositoryOf({ target, request }: Body): Repository | undefined {
  const [host, name] = [request?.host?.trim(), target?.repository?.trim()];
  return host && name && !host.includes('/') ? repositoryIn(`${host}/${name}`) : undefined;
}
