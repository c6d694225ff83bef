import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { ofService } from '../kit/allowed-images.ts';
import { definePathSecretSource } from '../kit/path-secret.ts';
import { eventNamed, parsedFrom, requireObject, texts } from '../kit/reading.ts';
import { readAcrEvent } from './event.ts';

const bodySchema = z.object(texts('id', 'action'));

/**
 * Webhooks of Azure Container Registry. Any header can be configured at the webhook, so the secret can stand in `Authorization`.
 * @see https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference
 */
export const acrSource = definePathSecretSource({
  name: 'acr',
  description: 'Azure Container Registry webhooks on POST /webhook/acr/SECRET, or /webhook/acr with the secret in Authorization.',
  setUpAt: 'Azure Container Registry',
  registries: ofService('acr'),
  usualImages: 'those of registries of Azure (NAME.azurecr.io)',
  parse({ body }) {
    const { id, action } = bodySchema.parse(requireObject(body));
    const about = eventNamed({ name: 'webhook', action, id });
    if (about.action === undefined) throw malformed('Expected the action of the event as text.');
    return parsedFrom([readAcrEvent(body)], { ...about, action: about.action.toLowerCase() });
  },
});
