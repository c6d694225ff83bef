import type { IncomingHttpHeaders } from 'node:http';
import { pino } from 'pino';
import type { Environment } from '../../../src/settings/environment.ts';
import { createSecretResolver } from '../../../src/settings/secrets.ts';
import type { ParsedRequest, Receiver, RequestHead, Verdict } from '../../../src/sources/kit/receiver.ts';
import type { SourceContext } from '../../../src/sources/kit/source.ts';

export const receivedAt = '2026-01-02T03:04:05.000Z';

/** What a receiver makes of a body, whose authenticity is taken for granted. */
export function parseWith(
  receiver: Receiver,
  body: unknown,
  { headers = {}, query = {} }: { headers?: IncomingHttpHeaders; query?: Record<string, string> } = {},
): ParsedRequest {
  return receiver.parse({ headers, query: new URLSearchParams(query), body, identity: {}, receivedAt });
}

/** Whether a receiver takes a request for its source's own, by its head and its bytes. */
export async function verdictOf(receiver: Receiver, head: Partial<RequestHead>, body: string | Buffer = ''): Promise<Verdict> {
  const whole: RequestHead = { headers: {}, query: new URLSearchParams(), address: '192.0.2.1', ...head };
  const { authentication } = receiver;
  if (authentication.covers === 'head') return await authentication.verify(whole);
  const early = authentication.precheck(whole);
  return early.authentic ? await authentication.verify(whole, Buffer.from(body)) : early;
}

export function contextOf(env: Environment): SourceContext {
  return { secrets: createSecretResolver(env, '/'), directory: '/', log: pino({ enabled: false }) };
}

export async function isAuthentic(...args: Parameters<typeof verdictOf>): Promise<boolean> {
  return (await verdictOf(...args)).authentic;
}

/** As the vectors list them. */
export function imagesOf({ pushes }: ParsedRequest) {
  return pushes.map(({ repository, tag, digest, commit }) => ({
    repository: repository as string,
    tag: tag as string,
    digest: digest === undefined ? null : (digest as string),
    ...(commit !== undefined && { commit }),
  }));
}
