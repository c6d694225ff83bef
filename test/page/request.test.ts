import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { baseOf, requireOwnOrigin } from '../../src/http/origin.ts';
import { figuresOf } from '../../src/operations/figures.ts';
import { wayBack } from '../../src/page/request.ts';
import { shortDuration } from '../../src/page/text.ts';

function request(headers: Readonly<Record<string, string>>, remoteAddress = '127.0.0.1'): IncomingMessage {
  const headersDistinct = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
  return { headersDistinct, socket: { remoteAddress } } as unknown as IncomingMessage;
}

describe('the path that a proxy shows the page below', () => {
  const isProxy = (address: string) => address === '10.0.0.1';
  const base = (prefix: string, from = '10.0.0.1') => baseOf(request({ 'x-forwarded-prefix': prefix }, from), isProxy);

  it('is taken from trusted proxies alone', () => {
    assert.equal(base('/tools/landfall/'), '/tools/landfall');
    assert.equal(base('/tools', '10.0.0.2'), '');
  });

  it('is a path, and nothing that a browser could take for another site', () => {
    for (const prefix of ['//evil.example', 'https://evil.example', '/a"onload=x', '/a/../b', '/\\evil', '/a b', '']) {
      assert.equal(base(prefix), '', prefix);
    }
  });
});

describe('a button', () => {
  const press = (headers: Readonly<Record<string, string>>) => () =>
    requireOwnOrigin(request({ host: 'ops.lan:8081', ...headers }), 'https://tools.example/landfall', true);

  it('counts when it stands on a page of ours', () => {
    press({ 'sec-fetch-site': 'same-origin' })();
    press({ origin: 'http://ops.lan:8081' })();
    press({ origin: 'https://tools.example' })();
  });

  it('does not count when it stands anywhere else', () => {
    for (const headers of [
      { 'sec-fetch-site': 'cross-site', origin: 'http://ops.lan:8081' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
      { origin: 'http://ops.lan:3000' },
      { origin: 'null' },
      {},
    ]) {
      assert.throws(press(headers), /another site/, JSON.stringify(headers));
    }
  });

  it('leads back to a page of ours', () => {
    assert.equal(wayBack('/rollouts?status=blocked', '/'), '/rollouts?status=blocked');
    for (const from of [undefined, '', 'https://evil.example/', '//evil.example', '/\\evil.example', '/a\nb', 'javascript:x']) {
      assert.equal(wayBack(from, '/'), '/', from);
    }
  });
});

describe('durations', () => {
  it('are as short as a row has room', () => {
    const texts = [0, 400, 9_960, 61_000, 3_600_000, 7_500_000, 90_000_000, 950_400_000].map(shortDuration);
    assert.deepEqual(texts, ['0 s', '0.4 s', '10 s', '1 min', '1 h', '2 h 5 min', '1 d 1 h', '11 d']);
  });
});

describe('the record', () => {
  const now = Date.parse('2026-01-31T12:00:00Z');
  const ended = (status: string, more: object = {}) => ({
    ...{ status, endedAt: now - 1_000, proposedSeconds: undefined, healthySeconds: undefined, neededPerson: false },
    ...more,
  });

  it('judges what ended well or badly, and counts the rest apart', () => {
    const figures = figuresOf(
      [
        ended('delivered', { healthySeconds: 100, neededPerson: true }),
        ended('proposed'),
        ended('unchanged'),
        ended('rolled-back'),
        ended('superseded'),
      ],
      { days: 7, now },
    );
    assert.equal(figures.successShare, 0.75);
    assert.equal(figures.personShare, 0.25);
    assert.deepEqual(figures.byDay.at(-1), { day: '2026-01-31', well: 3, badly: 1, otherwise: 1 });
    assert.equal(figures.byDay.length, 7);
  });

  it('says nothing of what there was none of', () => {
    const { successShare, toProposed, rollouts } = figuresOf([], { days: 30, now });
    assert.deepEqual([successShare, toProposed, rollouts], [undefined, undefined, 0]);
  });

  it('names times that there really were', () => {
    const all = Array.from({ length: 20 }, (_, index) => ended('proposed', { proposedSeconds: (index + 1) * 10 }));
    const { toProposed, proposalsPerWeek } = figuresOf(all, { days: 14, now });
    assert.deepEqual(toProposed, { count: 20, p50Seconds: 100, p95Seconds: 190 });
    assert.equal(proposalsPerWeek, 10);
  });
});
