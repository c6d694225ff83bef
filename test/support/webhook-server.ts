import { createHmac, timingSafeEqual } from 'node:crypto';
import { startTargetServer, type TargetServer } from './target-server.ts';

export interface WebhookReceiver extends TargetServer {
  readonly address: string;
  readonly key: string;
  /** What was taken, each delivery once. */
  readonly taken: { readonly delivery: string; readonly event: string; readonly body: Record<string, unknown> }[];
}

/** A receiver as docs/notifications.md shows one: it takes what is signed, young, and not known yet. */
export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const key = 'the-key';
  const taken: WebhookReceiver['taken'] = [];
  const server = await startTargetServer(({ headers, text }) => {
    const [timestamp = '', signature = '', event = '', delivery = ''] = ['timestamp', 'signature', 'event', 'delivery'].map(
      (name) => String(headers[`x-landfall-${name}`] ?? ''),
    );
    const expected = Buffer.from(`sha256=${createHmac('sha256', key).update(`${timestamp}.${text}`).digest('hex')}`);
    const given = Buffer.from(signature);
    const isSigned = given.length === expected.length && timingSafeEqual(given, expected);
    if (!isSigned || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return { status: 401 };
    if (headers['content-type'] !== 'application/json') return { status: 415 };
    if (!taken.some((known) => known.delivery === delivery)) {
      taken.push({ delivery, event, body: JSON.parse(text) as Record<string, unknown> });
    }
    return { status: 204 };
  });
  return { ...server, address: `${server.url}/hooks/landfall?token=hidden`, key, taken };
}
