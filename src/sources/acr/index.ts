import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { requireObject } from '../kit/json-object.ts';
import { text } from '../kit/loose.ts';
import { openPathSecret, pathSecretSettings } from '../kit/path-secret.ts';
import { parsedFrom } from '../kit/readings.ts';
import type { AuthenticRequest, ParsedRequest } from '../kit/receiver.ts';
import { deliveryIdOf, printableLine } from '../kit/sender-text.ts';
import { defineSource } from '../kit/source.ts';
import { readAcrEvent } from './event.ts';

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

function parse({ body }: AuthenticRequest): ParsedRequest {
  const { id, action: written } = bodySchema.parse(requireObject(body));
  const action = printableLine(written, 40)?.toLowerCase();
  if (action === undefined) throw malformed('Expected the action of the event as text.');
  return parsedFrom([readAcrEvent(body)], { event: 'webhook', action, deliveryId: deliveryIdOf(id) });
}
