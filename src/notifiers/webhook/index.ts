import { defineNotifier } from '../notifier.ts';
import { type WebhookTarget, webhookSchema } from './plan.ts';

/** A POST of JSON to any address, signed. */
export const webhookNotifier = defineNotifier({
  kind: 'webhook',
  schema: webhookSchema,
  resolve: (settings: WebhookTarget) => ({ settings }),
  async create(context) {
    const { createWebhook } = await import('./notifier.ts');
    return createWebhook(context);
  },
});
