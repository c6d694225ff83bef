import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { pino } from 'pino';
import { pushesOf, type ReceivedPush } from '../../../src/api/webhooks/plan-starts.ts';
import type { Environment } from '../../../src/domain/environment.ts';
import type { Authenticity, RequestHead } from '../../../src/http/authentication.ts';
import { createSecretResolver } from '../../../src/settings/secrets.ts';
import type { ParsedRequest, Receiver, SourceContext } from '../../../src/sources/kit/source.ts';

export const receivedAt = '2026-01-02T03:04:05.000Z';

/** What a receiver reads in a body, with its images as the pushes that become of them. */
export type ParsedPushes = Omit<ParsedRequest, 'images'> & { readonly pushes: readonly ReceivedPush[] };

/** What a receiver makes of a body, whose authenticity is taken for granted. */
export function parseWith(
  receiver: Receiver,
  body: unknown,
  { headers = {}, query = {} }: { headers?: IncomingHttpHeaders; query?: Record<string, string> } = {},
): ParsedPushes {
  const parsed = receiver.parse({ headers, query: new URLSearchParams(query), body });
  const { images: _, ...rest } = parsed;
  return { ...rest, pushes: pushesOf(parsed, { source: receiver.source, receivedAt }) };
}

/** Whether a receiver takes a request for its source's own, by its head and its bytes. */
export async function authenticityOf(
  receiver: Receiver,
  head: Partial<RequestHead>,
  body: string | Buffer = '',
): Promise<Authenticity> {
  const whole: RequestHead = { headers: {}, query: new URLSearchParams(), address: '192.0.2.1', ...head };
  return await receiver.authenticate(whole, async () => Buffer.from(body));
}

export function contextOf(env: Environment): SourceContext {
  return { secrets: createSecretResolver(env, '/'), directory: '/', log: pino({ enabled: false }) };
}

/** The one receiver that a source has opened. */
export function only(receivers: readonly Receiver[]): Receiver {
  const [receiver, ...others] = receivers;
  assert.ok(receiver);
  assert.deepEqual(others, []);
  return receiver;
}

export async function isAuthentic(...args: Parameters<typeof authenticityOf>): Promise<boolean> {
  return (await authenticityOf(...args)).authentic;
}

/** As the vectors list them. */
export function imagesOf({ pushes }: Pick<ParsedPushes, 'pushes'>) {
  return pushes.map(({ repository, tag, digest, commit }) => ({
    repository: repository as string,
    tag: tag as string,
    digest: digest === undefined ? null : (digest as string),
    ...(commit !== undefined && { commit }),
  }));
}
