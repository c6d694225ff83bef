import { setTimeout as pause } from 'node:timers/promises';
import { codeOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';
import { isPlainHttp, plainHttpAdvice } from '../domain/plain-http.ts';
import { HttpFailure, request } from '../platform/http/client.ts';
import type { AuditWriter } from './audit-file.ts';

export interface AuditPostSettings {
  /** Asked for at each attempt, so that a rotated secret is taken up. May carry `user:password@`. */
  readonly endpoint: () => string;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Is told of each failure beyond the one that is logged. */
  readonly failedAgain?: () => void;
  /** Whether it may be without TLS, off this machine. */
  readonly plainHttp?: boolean;
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
  const usual = { most: 10_000, firstPauseMs: 1_000, graceMs: 5_000, plainHttp: false, failedAgain: () => undefined };
  return new AuditPost({ ...usual, ...settings });
}

class AuditPost implements AuditWriter {
  readonly #settings: Required<AuditPostSettings>;
  readonly #waiting: string[] = [];
  readonly #senders = new Set<Promise<void>>();
  /** Aborted when no more is taken. */
  readonly #closing = new AbortController();
  /** Aborted when no more is sent. */
  readonly #stop = new AbortController();
  #failures = 0;
  #dropped = 0;
  #hasRefused = false;

  constructor(settings: Required<AuditPostSettings>) {
    this.#settings = settings;
  }

  write(lines: string): void {
    if (this.#closing.signal.aborted) return;
    for (const line of lines.split(/(?<=\n)/)) {
      this.#waiting.push(line);
      this.#drop();
      // While it fails, one asks at a time.
      if (this.#senders.size < (this.#failures > 0 ? 1 : atOnce)) this.#begin();
    }
  }

  async close(): Promise<void> {
    const { log, graceMs } = this.#settings;
    this.#closing.abort();
    const timer = setTimeout(() => this.#stop.abort(), graceMs);
    await Promise.all(this.#senders);
    clearTimeout(timer);
    const lost = this.#dropped + this.#waiting.length;
    if (lost > 0) log.warn({ lost }, 'lines of the audit log could not be posted: audit.endpoint did not take them');
  }

  #begin(): void {
    const sender = this.#sendAll().finally(() => this.#senders.delete(sender));
    this.#senders.add(sender);
  }

  async #sendAll(): Promise<void> {
    while (!this.#stop.signal.aborted) {
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
      const url = new URL(this.#settings.endpoint());
      if (isPlainHttp(url) && !this.#settings.plainHttp) return `expected https://, found http://: ${plainHttpAdvice}`;
      const { status } = await request({
        what: 'audit.endpoint',
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json' },
        body: line,
        signal: this.#stop.signal,
        timeoutMs: attemptMs,
      });
      if (status >= 200 && status < 300) return undefined;
      if (!refusals.includes(status)) return `it answers ${status}`;
      if (this.#hasRefused) this.#settings.failedAgain();
      else {
        const message = 'audit.endpoint refuses a line of the audit log for good; others that it refuses are not named';
        this.#settings.log.warn({ status }, message);
      }
      this.#hasRefused = true;
      return undefined;
    } catch (error) {
      if (error instanceof HttpFailure) return `it ${error.reason}`;
      // The words of a bad URL repeat it.
      return codeOf(error) === 'ERR_INVALID_URL' ? 'expected a URL such as https://logs.example.org/in' : 'the request failed';
    }
  }

  #failed(reason: string): void {
    this.#failures += 1;
    this.#drop();
    if (this.#stop.signal.aborted) return;
    const { failedAgain, log } = this.#settings;
    if (this.#failures > 1) failedAgain();
    else log.warn({ reason }, 'the audit log cannot be posted: lines wait; check audit.endpoint (LOGGING_ENDPOINT)');
  }

  #succeeded(): void {
    if (this.#failures === 0) return;
    this.#settings.log.info({ dropped: this.#dropped }, 'the audit log can be posted again');
    this.#failures = 0;
    this.#dropped = 0;
    while (this.#senders.size < Math.min(atOnce, this.#waiting.length)) this.#begin();
  }

  #drop(): void {
    const { log, most } = this.#settings;
    const many = this.#waiting.length - most;
    if (many <= 0) return;
    this.#waiting.splice(0, many);
    if (this.#dropped === 0)
      log.warn({ waiting: most }, 'too many lines of the audit log wait for being posted: the oldest are dropped');
    this.#dropped += many;
  }

  async #pause(): Promise<void> {
    const longest = Math.min(longestPauseMs, this.#settings.firstPauseMs * 2 ** Math.min(this.#failures - 1, 10));
    const isClosing = this.#closing.signal.aborted;
    // At the end there is no time to be patient.
    const milliseconds = isClosing ? Math.min(longest, 250) : longest * (0.5 + Math.random() / 2);
    const { signal } = isClosing ? this.#stop : this.#closing;
    await pause(milliseconds, undefined, { signal, ref: false }).catch(() => undefined);
  }
}
