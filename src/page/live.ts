import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { messageOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';

/**
 * Tells open pages that something has changed. However many look at the same, it is read once at a time; nothing is read while nobody looks,
 * as hidden pages close their stream. What has changed a page then asks for itself, and gets what was read here.
 */
export interface LiveOptions {
  /** What a topic is about at this time, as anything that JSON can hold. */
  readonly look: (topic: string) => Promise<unknown>;
  readonly everyMs?: number;
  readonly heartbeatMs?: number;
  readonly mostStreams?: number;
  readonly log: Log;
}

export type Live = ReturnType<typeof createLive>;

/** Listeners cut what is silent for 30 s. */
const usual = { everyMs: 1_000, heartbeatMs: 15_000, mostStreams: 500 } as const;
/** In place of a version, where nothing could be read. */
const away = 'away';

interface Topic {
  readonly streams: Set<ServerResponse>;
  version: string | undefined;
  timer: NodeJS.Timeout | undefined;
}

export function createLive({ look, log, ...options }: LiveOptions) {
  const { everyMs, heartbeatMs, mostStreams } = { ...usual, ...options };
  const topics = new Map<string, Topic>();
  let count = 0;
  let isStopped = false;

  /** The next look comes as long after this one as it took, at least: a slow Temporal is not asked all the time. */
  const watch = async (name: string, topic: Topic): Promise<void> => {
    const begunAt = Date.now();
    try {
      change(topic, versionOf(await look(name)));
    } catch (error) {
      log.debug({ topic: name, reason: messageOf(error) }, 'pages could not be told whether something has changed');
      change(topic, away);
    }
    if (topics.get(name) !== topic) return;
    topic.timer = setTimeout(() => void watch(name, topic), Math.max(everyMs, Date.now() - begunAt));
  };

  /** A login ends while a page is open, by its time or because it was ended for all. Where nobody can tell now, the next beat asks again. */
  const beat = async (name: string, stream: ServerResponse, mayLook: () => Promise<boolean>): Promise<void> => {
    try {
      if (!(await mayLook())) return void stream.end();
    } catch (error) {
      log.debug(
        { topic: name, reason: messageOf(error) },
        'a page stays open, and nobody can tell whether who looks at it may still',
      );
    }
    send(stream, ':\n\n');
  };

  const join = (name: string, stream: ServerResponse, mayLook: () => Promise<boolean>): boolean => {
    // Whoever left while it was looked up who they are: their end has been told already, and is not told again.
    if (stream.closed || stream.destroyed) return true;
    if (isStopped || count >= mostStreams) return false;
    count += 1;
    begin(stream);
    const known = topics.get(name);
    const topic: Topic = known ?? { streams: new Set(), version: undefined, timer: undefined };
    topic.streams.add(stream);
    const heartbeat = setInterval(() => void beat(name, stream, mayLook), heartbeatMs);
    stream.once('close', () => {
      count -= 1;
      clearInterval(heartbeat);
      topic.streams.delete(stream);
      if (topic.streams.size > 0 || topics.get(name) !== topic) return;
      clearTimeout(topic.timer);
      topics.delete(name);
    });
    if (known === undefined) {
      topics.set(name, topic);
      void watch(name, topic);
    } else if (topic.version !== undefined) {
      tell(stream, topic.version);
    }
    return true;
  };

  const stop = (): void => {
    isStopped = true;
    for (const { streams, timer } of topics.values()) {
      clearTimeout(timer);
      for (const stream of streams) stream.end();
    }
    topics.clear();
  };

  return {
    /**
     * Tells a page from now on, for as long as it may look; nothing to whoever has left.
     * @returns false where too many look, or the process ends
     */
    join,
    stop,
    /** How many look. */
    streams: () => count,
  };
}

function begin(stream: ServerResponse): void {
  stream.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    // nginx collects answers otherwise.
    'X-Accel-Buffering': 'no',
  });
  // A browser comes back by itself, not at once with all the others.
  stream.write(`retry: ${2_000 + Math.floor(Math.random() * 2_000)}\n\n`);
}

function change(topic: Topic, version: string): void {
  if (version === topic.version) return;
  topic.version = version;
  for (const stream of topic.streams) tell(stream, version);
}

function tell(stream: ServerResponse, version: string): void {
  send(stream, `event: version\ndata: ${version}\n\n`);
}

/** What is read while a stream ends comes too late for it, and a write would be an error that nobody catches. */
function send(stream: ServerResponse, text: string): void {
  if (!stream.writableEnded && !stream.destroyed) stream.write(text);
}

/** The same for what says the same. */
export function versionOf(read: unknown): string {
  return createHash('sha256').update(JSON.stringify(read)).digest('base64url').slice(0, 16);
}
