import { createHmac } from 'node:crypto';
import { Refusal } from '../../domain/failures.ts';
import { addressOf, ask, judged, named, reached } from '../http.ts';
import type { Notifier, NotifierContext } from '../notifier.ts';

interface WebhookTarget {
  /** A URL, or the reference of one. */
  readonly url: string;
  /** Reference of the key of the signature. */
  readonly secret: string;
  /** Whether it may be without TLS. */
  readonly plainHttp?: boolean;
}

/** Any address that takes the notice as JSON, signed, so that it can tell ours from others'. See docs/notifications.md. */
export function createWebhook({ secrets }: Pick<NotifierContext, 'secrets'>): Notifier<WebhookTarget> {
  return {
    async send({ target, notice, signal }) {
      const what = named('webhook', target.url);
      const url = addressOf(secrets(target.url), what, target.plainHttp);
      const key = secrets(target.secret);
      if (key === '') throw new Refusal('SecretMissing', `expected a key to sign for ${what}, found an empty one: set it`);
      const body = JSON.stringify(notice);
      const timestamp = String(Math.floor(Date.now() / 1000));
      const headers = {
        'content-type': 'application/json',
        'x-landfall-event': notice.event,
        // The same for every try of one notice.
        'x-landfall-delivery': `${notice.runId.replace(/[^\w-]/g, '')}-${notice.number}`,
        'x-landfall-timestamp': timestamp,
        // Over the time, too, so that an old request cannot be sent again as a new one.
        'x-landfall-signature': `sha256=${createHmac('sha256', key).update(`${timestamp}.${body}`).digest('hex')}`,
      };
      const answer = await ask({ what, url, headers, body, signal });
      if (answer.status < 200 || answer.status >= 300) throw judged(what, answer);
      return undefined;
    },
    async diagnose({ url, secret, plainHttp }, signal) {
      const what = named('webhook', url);
      if (secrets(secret) === '')
        throw new Refusal('SecretMissing', `expected a key to sign for ${what}, found an empty one: set it`);
      return await reached(what, addressOf(secrets(url), what, plainHttp), signal);
    },
  };
}
