import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { islandFile } from '../../src/page/assets.ts';
import { h } from '../../src/page/html.ts';
import { pageText } from '../../src/page/layout.ts';
import { createLive, type Live, versionOf } from '../../src/page/live.ts';
import { createSharedRead } from '../../src/page/shared-read.ts';
import { startBrowser } from '../support/browser.ts';
import { silentLogging } from '../support/silent-logging.ts';
import { eventually } from '../support/wait.ts';
import { view } from './hostile.ts';

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
      const content = { title: 'T', readAt: new Date().toISOString(), readFrom: 'a test', body: [h('h1', null, now)] };
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
