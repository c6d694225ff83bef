import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { jsonLines } from './json-lines.ts';

const reconnectMs = 200;

/**
 * Calls `changed` whenever something happens to a container, and whenever something may have been missed. It says only *that*: the
 * callback inspects the container itself, so a lost or repeated event never leads to a wrong answer.
 * @param since when the container was made, by the daemon's clock, ISO 8601: what happens while we connect is not lost either
 * @returns once the daemon sends; the events end with the signal
 */
export async function watchContainer(
  docker: Docker,
  id: string,
  since: string,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  const options = {
    since: Math.floor(Date.parse(since) / 1000),
    filters: { type: ['container' as const], container: [id], event: ['die', 'oom', 'destroy', 'health_status'] },
  };
  const connect = () => docker.getEvents({ ...options, abortSignal: signal });
  const first = await connect();
  void follow(first, connect, changed, signal);
}

/** Never throws: a stream that ends is opened again, and the callback notices a daemon that is gone. */
async function follow(
  first: NodeJS.ReadableStream,
  connect: () => Promise<NodeJS.ReadableStream>,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  let stream: NodeJS.ReadableStream | undefined = first;
  while (!signal.aborted) {
    try {
      stream ??= await connect();
      for await (const event of jsonLines(stream)) if (event.Type === 'container') changed();
    } catch {
      // The connection was cut, which the next inspection explains, or the signal has ended the watch.
    }
    stream = undefined;
    if (signal.aborted) return;
    changed();
    await delay(reconnectMs, undefined, { signal }).catch(() => undefined);
  }
}
