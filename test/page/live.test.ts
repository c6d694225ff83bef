import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { type CurrentRunning, emptyLane, type LaneState } from '../../src/domain/lane/state.ts';
import type { OpenQuestion } from '../../src/domain/open-questions.ts';
import { islandFile } from '../../src/page/assets.ts';
import { type Children, h } from '../../src/page/html.ts';
import { pageText } from '../../src/page/layout.ts';
import { createLive, type Live, versionOf } from '../../src/page/live.ts';
import { nowBody } from '../../src/page/now.ts';
import { serviceBody } from '../../src/page/service.ts';
import { createSharedRead } from '../../src/page/shared-read.ts';
import { startBrowser } from '../support/browser.ts';
import { digestOf, imageOf, planOf, verifiedOf } from '../support/plans.ts';
import { silentLogging } from '../support/silent-logging.ts';
import { eventually } from '../support/wait.ts';
import { hostileOverview, hostileRow, view } from './hostile.ts';

describe('the streams of open pages', () => {
  let looks: string[];
  let now: unknown;
  let mayLook: boolean | Error;
  let live: Live;
  let stop: () => Promise<void>;
  let url: string;

  beforeEach(async () => {
    looks = [];
    now = 1;
    mayLook = true;
    const look = async (topic: string): Promise<unknown> => {
      looks.push(topic);
      if (now instanceof Error) throw now;
      return now;
    };
    live = createLive({ look, everyMs: 20, heartbeatMs: 20, mostStreams: 101, log: silentLogging().log });
    const server = createServer((request, response: ServerResponse) => {
      const stillMayLook = async () => {
        if (mayLook instanceof Error) throw mayLook;
        return mayLook;
      };
      const join = () => void (live.join(request.url ?? '', response, stillMayLook) || response.writeHead(503).end());
      // As when it takes long to tell who looks.
      if (request.url === '/left') response.once('close', join);
      else join();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    stop = async () => {
      live.stop();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
  });
  afterEach(() => stop());

  it('are a hundred, and what they are about is read no more often than for one', async () => {
    const pages = await Promise.all(Array.from({ length: 100 }, () => open(`${url}/all`)));
    await eventually('all to be told', async () => pages.every(({ versions }) => versions.length === 1) || undefined);
    const before = looks.length;
    now = 2;
    await eventually('all to be told again', async () => pages.every(({ versions }) => versions.length === 2) || undefined);
    assert.ok(looks.length - before <= 25, `${looks.length - before} looks for 100 pages`);
    assert.equal(new Set(pages.flatMap(({ versions }) => versions)).size, 2);
    await Promise.all(pages.map(({ close }) => close()));
  });

  it('cost nothing when nobody looks any more', async () => {
    const page = await open(`${url}/all`);
    await eventually('it to be told', async () => page.versions.length > 0 || undefined);
    await page.close();
    await eventually('the stream to be gone', async () => live.streams() === 0 || undefined);
    const before = looks.length;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(looks.length, before);
  });

  it('are none of those who left before they began', async () => {
    const leaves = new AbortController();
    const answer = fetch(`${url}/left`, { signal: leaves.signal });
    const page = await open(`${url}/all`);
    leaves.abort();
    await assert.rejects(answer, { name: 'AbortError' });
    const before = looks.length;
    await eventually('further looks', async () => looks.length > before + 5 || undefined);
    assert.deepEqual([live.streams(), looks.includes('/left')], [1, false]);
    await page.close();
  });

  it('say when nothing can be read, and when it can again', async () => {
    const page = await open(`${url}/all`);
    await eventually('it to be told', async () => page.versions.length === 1 || undefined);
    now = new Error('Temporal is away');
    await eventually('it to be told', async () => page.versions.length === 2 || undefined);
    now = 1;
    await eventually('it to be told', async () => page.versions.length === 3 || undefined);
    const [first, away, again] = page.versions;
    assert.deepEqual([away, again], ['away', first]);
    await page.close();
  });

  it('end when whoever looks is logged out, and not while nobody can tell', async () => {
    const page = await open(`${url}/all`);
    await eventually('it to be told', async () => page.versions.length === 1 || undefined);
    mayLook = new Error('the key cannot be read');
    const before = page.beats();
    await eventually('signs of life', async () => page.beats() > before + 2 || undefined);
    mayLook = false;
    await page.ended;
    await eventually('the stream to be gone', async () => live.streams() === 0 || undefined);
  });

  it('are not more than there is room for, and end when Landfall does', async () => {
    const pages = await Promise.all(Array.from({ length: 101 }, () => open(`${url}/all`)));
    assert.equal((await fetch(`${url}/all`)).status, 503);
    live.stop();
    await Promise.all(pages.map(({ ended }) => ended));
    assert.equal((await fetch(`${url}/all`)).status, 503);
  });
});

describe('an open page', () => {
  let now = 'first';
  let body: Children = [];
  let isRefused = false;
  let isFull = false;
  let asked = { page: 0, stream: 0 };
  let url: string;
  let live: Live;
  let browser: Browser;
  let page: Page;
  let stop: () => Promise<void>;

  before(async () => {
    live = createLive({ look: async () => now, everyMs: 20, log: silentLogging().log });
    const server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? '', 'http://landfall');
      if (pathname === '/live') {
        asked.stream += 1;
        const isTaken = !isFull && live.join('all', response, async () => true);
        return void (isTaken || response.writeHead(503).end());
      }
      if (pathname.endsWith(islandFile.name))
        return void response.writeHead(200, { 'Content-Type': islandFile.type }).end(islandFile.text);
      asked.page += 1;
      const content = { title: 'T', readAt: new Date().toISOString(), readFrom: 'a test', body: [h('h1', null, now), ...body] };
      const text = pageText(view, { ...content, live: { topic: 'all', version: versionOf(now) } });
      response.writeHead(isRefused ? 503 : 200, { 'Content-Type': 'text/html' }).end(text);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    browser = await startBrowser();
    page = await browser.newPage();
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await page.goto(url);
    stop = async () => {
      live.stop();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
  });
  after(async () => {
    await browser?.close();
    await stop?.();
  });

  /** Its stream ends, and begins anew. */
  const hideAndShow = async (shown: Page): Promise<void> => {
    for (const turn of [true, false])
      await shown.evaluate(
        `Object.defineProperty(document, 'hidden', { value: ${turn}, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`,
      );
  };
  const says = (state: string) => page.locator(`#live[data-state=${state}]`).waitFor();
  const shows = (text: string) => page.locator('h1').getByText(text, { exact: true }).waitFor();

  it('shows what changes', async () => {
    await says('live');
    now = 'second';
    await shows('second');
    await says('live');
  });

  it('does not call itself live while it shows what was so before, and asks again', async () => {
    isRefused = true;
    now = 'third';
    await says('away');
    await shows('second');
    // The server is itself again, and nothing changes any more: the stream, when it is back, tells what it told before.
    isRefused = false;
    await hideAndShow(page);
    await shows('third');
    await says('live');
    isRefused = true;
    now = 'fourth';
    await says('away');
    isRefused = false;
    await shows('fourth');
    await says('live');
  });

  it('is not asked for all the time while there is no room for its stream', async () => {
    const other = await browser.newPage();
    await other.clock.install();
    await other.goto(url);
    await other.locator('#live[data-state=live]').waitFor();
    isFull = true;
    asked = { page: 0, stream: 0 };
    await hideAndShow(other);
    await eventually('the stream to be asked for some times', async () => {
      await other.clock.runFor(500);
      return asked.stream === 4 || undefined;
    });
    assert.equal(asked.page, 1);
    // The login may be over by now.
    await other.clock.runFor(60_000);
    await eventually('the page to be asked for', async () => {
      await other.clock.runFor(500);
      return asked.page === 2 || undefined;
    });
    isFull = false;
    await eventually('it to be told again', async () => {
      await other.clock.runFor(500);
      return (await other.locator('#live[data-state=live]').count()) || undefined;
    });
    await other.close();
  });

  describe('where somebody has opened a form', () => {
    const since = '2026-01-31T07:00:00Z';
    let turns = 0;
    /** Shows this, and then once more after the page has heard of it. */
    const show = async (next: Children): Promise<void> => {
      turns += 1;
      body = next;
      now = `turn ${turns}`;
      await shows(now);
    };
    const ran = (tag: string): CurrentRunning => {
      const image = imageOf(planOf(), tag, tag);
      const before = { running: [], image: imageOf(planOf(), 'before', 'before') };
      return { ...image, since, rollout: `rollout:web:${tag}`, plan: planOf(), image: verifiedOf(image), before };
    };
    const lane = (runs: string, ...others: string[]): LaneState => {
      const earlier = others.slice(1).map((tag) => ({ ...ran(tag), until: since }));
      const staging = { turn: 1, waiters: [], running: ran(others[0] ?? ''), earlier };
      return { ...emptyLane(), stages: { production: { turn: 1, waiters: [], running: ran(runs) }, staging } };
    };
    const service = (state: LaneState): Children => {
      const stages = Object.keys(state.stages).map((stage) => ({ stage, waiting: 0 }));
      return serviceBody(view, { service: 'web', lane: { ...state, delivered: deliveredOf(state) }, stages, rollouts: [] });
    };
    const deliveredOf = ({ stages }: LaneState) =>
      Object.fromEntries(
        Object.entries(stages).map(([name, { running, earlier = [] }]) => [
          name,
          [running, ...earlier].flatMap((one) => (one === undefined ? [] : [{ ...one, at: since }])),
        ]),
      );
    const ofProduction = () => page.getByRole('article', { name: 'production' });
    const chosen = () => ofProduction().locator('select').inputValue();

    it('to promote, it has the image that they chose, or asks again where that is gone', async () => {
      await show(service(lane('1.0', '1.2', '1.1')));
      await ofProduction().getByText('Promote…').click();
      await ofProduction().locator('select').selectOption(digestOf('1.1'));
      await show(service(lane('1.0', '1.3', '1.2', '1.1')));
      assert.equal(await chosen(), digestOf('1.1'));
      assert.match((await ofProduction().locator('option:checked').textContent()) ?? '', /^1\.1 /);
      await show(
        service({ ...lane('1.0', '1.3', '1.2', '1.1'), quarantine: { [digestOf('1.1')]: { reason: 'bad', at: since } } }),
      );
      assert.equal(await chosen(), '');
    });

    it('to roll back, to pin or to hold a stage, it never becomes another one', async () => {
      const open = () => ofProduction().locator('details.ask[open] button').allInnerTexts();
      await show(service(lane('1.0', '1.2')));
      for (const text of ['Hold…', 'Pin…', 'Roll back…']) await ofProduction().getByText(text, { exact: true }).click();
      await ofProduction().locator('details[open] input[name=reason]').first().fill('because');
      // Another image: what it would be rolled back from, and pinned to, is not what was shown.
      await show(service(lane('1.2', '1.2')));
      assert.deepEqual(await open(), ['Hold production']);
      const held = lane('1.2', '1.2');
      const [production] = Object.values(held.stages);
      if (production !== undefined) production.hold = { by: 'ben', at: since };
      await show(service(held));
      assert.deepEqual(await open(), []);
    });

    it('to skip a step, it never comes to mean another step, or another question about the same one', async () => {
      const blocked = (step: string, from = since): OpenQuestion => ({
        ...{ asks: 'decision', step, since: from, decisions: ['retry', 'skip', 'reject'], advice: '' },
      });
      const asking = (...questions: OpenQuestion[]): Children => {
        const overview = { ...hostileOverview, asking: [{ ...hostileRow, questions }], underWay: [], services: [] };
        return nowBody(view, { overview, recent: [], steps: new Map(), firstPush: { file: '', services: 1, webhooks: [] } });
      };
      const open = () => page.locator('.ask[open] button').allInnerTexts();
      const openSkip = async () => {
        await page.getByText('Skip…').first().click();
        await page.locator('.ask[open] input[name=reason]').fill('because');
      };
      await show(asking(blocked('scan'), blocked('smoke')));
      await openSkip();
      await show(asking(blocked('verify'), blocked('scan'), blocked('smoke')));
      assert.deepEqual(await open(), ['Skip scan']);
      assert.equal(await page.locator('.ask[open] input[name=reason]').inputValue(), 'because');
      await show(asking(blocked('smoke')));
      assert.deepEqual(await open(), []);
      await openSkip();
      await show(asking(blocked('smoke', '2026-01-31T07:30:00Z')));
      assert.deepEqual(await open(), []);
    });
  });
});

describe('a read that many ask for', () => {
  it('is one', async () => {
    let reads = 0;
    const gate = new EventEmitter();
    const read = createSharedRead(async (key) => {
      reads += 1;
      await once(gate, 'open');
      return `${key} ${reads}`;
    }, 20);
    const asked = [read('a'), read('a'), read('a')];
    gate.emit('open');
    assert.deepEqual(await Promise.all(asked), ['a 1', 'a 1', 'a 1']);
    assert.equal(await read('a'), 'a 1');
  });

  it('is asked anew after a failure', async () => {
    let reads = 0;
    const read = createSharedRead(async () => {
      reads += 1;
      if (reads === 1) throw new Error('away');
      return reads;
    }, 1_000);
    await assert.rejects(read('a'), /away/);
    assert.equal(await read('a'), 2);
  });
});

/** As a browser's EventSource: the versions that came. */
async function open(address: string) {
  const stop = new AbortController();
  const response = await fetch(address, { signal: stop.signal });
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const versions: string[] = [];
  let text = '';
  const read = async (): Promise<void> => {
    try {
      for await (const chunk of response.body ?? []) {
        text += Buffer.from(chunk).toString();
        versions.splice(
          0,
          versions.length,
          ...[...text.matchAll(/event: version\ndata: (\S+)/g)].map(([, version = '']) => version),
        );
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  };
  const ended = read();
  const close = async (): Promise<void> => {
    stop.abort();
    await ended;
  };
  return { versions, beats: () => text.split('\n:\n').length - 1, ended, close };
}
