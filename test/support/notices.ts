import assert from 'node:assert/strict';
import { RateLimit, Refusal } from '../../src/domain/failures.ts';
import type { Notice } from '../../src/domain/notice.ts';
import { imageOf, planOf } from './plans.ts';

export const rollout = 'rollout:web:latest:559aead08264';

export function noticeOf(overrides: Partial<Notice> = {}): Notice {
  return {
    event: 'delivered',
    rollout,
    runId: '0d9a6c52-7f1e-4d51-9a4c-1f0a7c1b2d3e',
    number: 1,
    at: '2026-01-01T12:00:00.000Z',
    service: 'web',
    image: imageOf(planOf(), 'A'),
    ...overrides,
  };
}

/** What somebody could try to get into a message: markup, mentions, links, line ends, and far too much of it. */
export const hostile = [
  '<!channel> <@U012AB3CD> @everyone @here <#C1|x> [click](https://evil.test) **bold** `code` ~~gone~~ ||spoiler||',
  '<script>alert(1)</script> & "quotes" \'single\'',
  'one\r\nBcc: victim@example.test\r\n\r\nbody\u2028two\u202e\u0000',
  'é😀'.repeat(20_000),
].join(' ');

/** An error that a retry may mend. */
export function passing(message: RegExp) {
  return (error: unknown): true => {
    assert.ok(error instanceof Error && !(error instanceof Refusal) && !(error instanceof RateLimit), String(error));
    assert.match(error.message, message);
    return true;
  };
}

/** A "no" that names no secret. */
export function refused(message: RegExp, type = 'NoticeRefused') {
  return (error: unknown): true => {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.type, type);
    assert.match(error.message, message);
    return true;
  };
}

/** A request to wait for some seconds from now. */
export function limited(fromSeconds: number, toSeconds: number) {
  return (error: unknown): true => {
    assert.ok(error instanceof RateLimit, String(error));
    const seconds = (error.until.getTime() - Date.now()) / 1000;
    assert.ok(seconds >= fromSeconds && seconds <= toSeconds, `${seconds} s`);
    return true;
  };
}

/** Everything that an error would show in a log or a history. */
export function shownBy(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    parts.push(at.message, at.stack ?? '', JSON.stringify(at, Object.getOwnPropertyNames(at)));
  }
  return parts.join('\n');
}

/** The error of a call that has to fail. */
export async function errorOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    (outcome) => assert.fail(`expected an error, found ${JSON.stringify(outcome)}`),
    (error: unknown) => error,
  );
}
