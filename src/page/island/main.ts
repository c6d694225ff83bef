import { hydrate, render } from 'preact';
import { refreshTimes } from './times.ts';
import { toNodes } from './to-nodes.ts';

/**
 * All that runs in a browser: it listens to one stream, and where that tells of a change, asks for the page again and shows what differs. The
 * server alone makes pages, so there is nothing here that could say something else. Without script, a page is as good until it is loaded again.
 */
const main = document.querySelector<HTMLElement>('main[data-stream]');
if (main !== null) live(main);

function live(main: HTMLElement): void {
  const { stream = '', topic = '' } = main.dataset;
  let { version } = main.dataset;
  let offset = Number(main.dataset.now) - Date.now();
  let source: EventSource | undefined;
  let isAsking = false;
  let asksAgain = false;
  const content = document.createElement('div');
  content.className = 'content';
  content.append(...main.childNodes);
  main.append(content);
  hydrate(toNodes(content), content);

  const refresh = async (): Promise<void> => {
    if (isAsking) {
      asksAgain = true;
      return;
    }
    isAsking = true;
    try {
      const response = await fetch(location.href, { headers: { Accept: 'text/html' } });
      // Temporal is away, say: what was read before is better than nothing, and the stream tells when it is back.
      if (!response.ok) return say('away');
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      const next = page.querySelector<HTMLElement>('main[data-stream]');
      if (response.redirected || next === null) return location.reload();
      version = next.dataset.version ?? version;
      offset = Number(next.dataset.now) - Date.now();
      render(toNodes(next), content);
      document.title = page.title;
      const [shown, footer] = [document.querySelector('footer'), page.querySelector('footer')];
      if (shown && footer) shown.replaceWith(footer);
      say('live');
    } catch {
      // The stream says when there is something to ask again.
      say('away');
    } finally {
      isAsking = false;
    }
    if (asksAgain) {
      asksAgain = false;
      await refresh();
    }
  };

  const open = (): void => {
    if (source !== undefined || document.hidden) return;
    source = new EventSource(`${stream}?of=${encodeURIComponent(topic)}`);
    source.addEventListener('version', ({ data }: MessageEvent<string>) => {
      if (data === 'away') return say('away');
      const isNew = version !== undefined && data !== version;
      version = data;
      say('live');
      if (isNew) void refresh();
    });
    source.addEventListener('error', () => {
      say('away');
      // A browser gives up after an answer that is no stream.
      if (source?.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 5_000);
      }
    });
  };
  const close = (): void => {
    source?.close();
    source = undefined;
  };

  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  addEventListener('pagehide', close);
  addEventListener('pageshow', open);
  setInterval(() => document.hidden || refreshTimes(Date.now() + offset), 1_000);
  open();
}

const words = { live: 'live', away: 'no connection' } as const;

function say(state: keyof typeof words): void {
  const place = document.getElementById('live');
  if (place === null || place.dataset.state === state) return;
  place.dataset.state = state;
  place.textContent = words[state];
}
