import { z } from 'zod';
import { malformed } from '../problem.ts';
import { readAcrEvent } from './acr-event.ts';
import { requireObject } from './json-object.ts';
import { text } from './loose.ts';
import { openPathSecret, pathSecretSettings } from './path-secret.ts';
import { parsedFrom } from './readings.ts';
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

const bodySchema = z.object({ id: text, action: text });

function parse({ body, receivedAt }: ReceivedRequest): ParsedRequest {
  const { id, action: written } = bodySchema.parse(requireObject(body));
  const action = printableLine(written, 40)?.toLowerCase();
  if (action === undefined) throw malformed('Expected the action of the event as text.');
  return parsedFrom([readAcrEvent(body)], { source, receivedAt, event: 'webhook', action, deliveryId: deliveryIdOf(id) });
}
