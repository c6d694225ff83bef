import { createHmac } from 'node:crypto';
import { Refusal } from '../../domain/failures.ts';
import type { Notice } from '../../domain/notice.ts';
import { addressOf, ask, judged, named } from '../http.ts';
import type { Delivery, Notifier, NotifierContext } from '../notifier.ts';
import type { WebhookTarget } from './plan.ts';

/** Any address that takes the notice as JSON, signed, so that it can tell ours from others'. See docs/notifications.md. */
export function createWebhook({ secrets }: Pick<NotifierContext, 'secrets'>): Notifier<WebhookTarget> {
  return {
    async send({ target, notice, signal }: Delivery<WebhookTarget>): Promise<undefined> {
      const what = named('webhook', target.url);
      const url = addressOf(secrets(target.url), what);
      const key = secrets(target.secret);
      if (key === '') throw new Refusal('SecretMissing', `expected a key to sign for ${what}, found an empty one: set it`);
      const body = JSON.stringify(notice);
      const timestamp = String(Math.floor(Date.now() / 1000));
      const headers = {
        'content-type': 'application/json',
        'x-landfall-event': notice.event,
        'x-landfall-delivery': deliveryId(notice),
        'x-landfall-timestamp': timestamp,
        'x-landfall-signature': signatureOf(key, timestamp, body),
      };
      const answer = await ask({ what, method: 'POST', url, headers, body, signal });
      if (answer.status < 200 || answer.status >= 300) throw judged(what, answer);
      return undefined;
    },
  };
}

/** The same for every try of one notice. */
function deliveryId({ runId, number }: Notice): string {
  return `${runId.replace(/[^\w-]/g, '')}-${number}`;
}

/** `sha256=` and the HMAC in lower-case hex over `TIMESTAMP.BODY`, so that an old request cannot be sent again as a new one. */
export function signatureOf(key: string, timestamp: string, body: string): string {
  return `sha256=${createHmac('sha256', key).update(`${timestamp}.${body}`).digest('hex')}`;
}
