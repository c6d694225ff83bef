import { codeOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';
import { HttpFailure, request } from '../platform/http/client.ts';
import type { AuditWriter } from './audit-file.ts';

export interface AuditPostSettings {
  /** Asked for at each attempt, so that a rotated secret is taken up. May carry `user:password@`. */
  readonly endpoint: () => string;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Lines that wait at most; the oldest are dropped. */
  readonly most?: number;
  /** Milliseconds before the first repetition. */
  readonly firstPauseMs?: number;
  /** Milliseconds that `close` waits for what has not been sent yet. */
  readonly graceMs?: number;
}

const atOnce = 4;
const attemptMs = 10_000;
const longestPauseMs = 60_000;
/** What is wrong with one line will be wrong the next time as well; everything else may be mended. */
const refusals = [400, 413, 422];

/**
 * One POST per line, as `application/json`, to a collector of logs. Nothing waits for it: lines wait in a buffer, and are repeated until
 * they are taken or as many newer ones have come. That it fails is said once, and that it works again once more.
 */
export function createAuditPost(settings: AuditPostSettings): AuditWriter {
  return new AuditPost(settings);
}

class AuditPost implements AuditWriter {
  readonly #settings: AuditPostSettings;
  readonly #most: number;
  readonly #waiting: string[] = [];
  readonly #senders = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #isClosed = false;
  #failures = 0;
  #dropped = 0;
  #refused = 0;
  #wake: (() => void) | undefined;

  constructor(settings: AuditPostSettings) {
    this.#settings = settings;
    this.#most = settings.most ?? 10_000;
  }

  write(line: string): void {
    if (this.#isClosed) return;
    this.#waiting.push(line);
    this.#drop();
    // While it fails, one asks at a time.
    if (this.#senders.size < (this.#failures > 0 ? 1 : atOnce)) this.#begin();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake?.();
    const timer = setTimeout(() => {
      this.#stop.abort();
      this.#wake?.();
    }, this.#settings.graceMs ?? 5_000);
    await Promise.all(this.#senders);
    clearTimeout(timer);
    const lost = this.#dropped + this.#waiting.length;
    if (lost > 0)
      this.#settings.log.warn({ lost }, 'lines of the audit log could not be posted: audit.endpoint did not take them');
  }

  #begin(): void {
    const sender = this.#sendAll().finally(() => this.#senders.delete(sender));
    this.#senders.add(sender);
  }

  async #sendAll(): Promise<void> {
    for (;;) {
      if (this.#stop.signal.aborted) return;
      const line = this.#waiting.shift();
      if (line === undefined) return;
      const problem = await this.#send(line);
      if (problem === undefined) {
        this.#succeeded();
        continue;
      }
      this.#waiting.unshift(line);
      this.#failed(problem);
      if (this.#senders.size > 1) return;
      await this.#pause();
    }
  }

  /** @returns what went wrong and may go right later; nothing secret, so no URL */
  async #send(line: string): Promise<string | undefined> {
    try {
      const { status } = await request({
        what: 'audit.endpoint',
        method: 'POST',
        url: new URL(this.#settings.endpoint()),
        headers: { 'content-type': 'application/json' },
        body: line,
        signal: this.#stop.signal,
        timeoutMs: attemptMs,
      });
      if (status >= 200 && status < 300) return undefined;
      if (!refusals.includes(status)) return `it answers ${status}`;
      this.#refuse(status);
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  }

  #refuse(status: number): void {
    this.#refused += 1;
    if (this.#refused > 1) return;
    this.#settings.log.warn(
      { status },
      'audit.endpoint refuses a line of the audit log for good; others that it refuses are not named',
    );
  }

  #failed(reason: string): void {
    this.#failures += 1;
    this.#drop();
    if (this.#failures > 1 || this.#stop.signal.aborted) return;
    this.#settings.log.warn({ reason }, 'the audit log cannot be posted: lines wait; check audit.endpoint (LOGGING_ENDPOINT)');
  }

  #succeeded(): void {
    if (this.#failures === 0) return;
    this.#settings.log.info({ dropped: this.#dropped }, 'the audit log can be posted again');
    this.#failures = 0;
    this.#dropped = 0;
    while (this.#senders.size < Math.min(atOnce, this.#waiting.length)) this.#begin();
  }

  #drop(): void {
    const many = this.#waiting.length - this.#most;
    if (many <= 0) return;
    this.#waiting.splice(0, many);
    if (this.#dropped === 0) {
      this.#settings.log.warn(
        { waiting: this.#most },
        'too many lines of the audit log wait for being posted: the oldest are dropped',
      );
    }
    this.#dropped += many;
  }

  async #pause(): Promise<void> {
    const { firstPauseMs = 1_000 } = this.#settings;
    const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(this.#failures - 1, 10));
    // At the end there is no time to be patient.
    const milliseconds = this.#isClosed ? Math.min(longest, 250) : longest * (0.5 + Math.random() / 2);
    if (this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof HttpFailure) return `it ${error.reason}`;
  // The words of a bad URL repeat it.
  return codeOf(error) === 'ERR_INVALID_URL' ? 'expected a URL such as https://logs.example.org/in' : 'the request failed';
}
