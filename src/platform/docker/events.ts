import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';

const reconnectMs = 200;

/**
 * Calls `changed` whenever something happens to a container, or may have been missed. The callback inspects the container itself, so a lost or
 * repeated event never leads to a wrong answer.
 * @param since when it was made, by the daemon's clock, ISO 8601: what happens while we connect is not lost either
 * @returns once the daemon sends; the events end with the signal
 */
export async function watchContainer(
  docker: Docker,
  id: string,
  since: string,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  const connect = () =>
    docker.getEvents({
      since: Math.floor(Date.parse(since) / 1000),
      filters: { type: ['container'], container: [id], event: ['die', 'oom', 'destroy', 'health_status'] },
      abortSignal: signal,
    });
  let stream: NodeJS.ReadableStream | undefined = await connect();
  /** Never throws: a stream that ends is opened again, and the callback notices a daemon that is gone. */
  const follow = async (): Promise<void> => {
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
  };
  void follow();
}

/** The JSON objects of a stream in which Docker writes one a line: pull progress, events. What is no object is left out. */
export async function* jsonLines(stream: NodeJS.ReadableStream): AsyncGenerator<Readonly<Record<string, unknown>>> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield* parse(line);
  }
  yield* parse(rest);
}

function* parse(line: string): Generator<Readonly<Record<string, unknown>>> {
  if (line.trim() === '') return;
  const value: unknown = JSON.parse(line);
  if (typeof value === 'object' && value !== null) yield Object.fromEntries(Object.entries(value));
}
