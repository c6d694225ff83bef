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
  /** Of what is shown. Lists have none of their own: it is the first one that is told. */
  let { version: shown } = main.dataset;
  /** By the stream; undefined while that is closed or broken, or what it is about cannot be read. */
  let told: string | undefined;
  let offset = Number(main.dataset.now) - Date.now();
  let source: EventSource | undefined;
  let isAsking = false;
  let asksAgain = false;
  let later: ReturnType<typeof setTimeout> | undefined;
  /** When the page was asked for because its stream was refused, since that told something last. */
  let refusedAt = Number.NEGATIVE_INFINITY;
  const content = document.createElement('div');
  content.className = 'content';
  content.append(...main.childNodes);
  main.append(content);
  hydrate(toNodes(content), content);

  /** @returns whether what there is now is shown: what was read before is better than nothing */
  const ask = async (): Promise<boolean> => {
    const version = told;
    const response = await fetch(location.href, { headers: { Accept: 'text/html' } });
    // Temporal is away, say.
    if (!response.ok) return false;
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const next = page.querySelector<HTMLElement>('main[data-stream]');
    if (response.redirected || next === null) {
      location.reload();
      return false;
    }
    offset = Number(next.dataset.now) - Date.now();
    render(toNodes(next), content);
    document.title = page.title;
    const [footer, nextFooter] = [document.querySelector('footer'), page.querySelector('footer')];
    if (footer && nextFooter) footer.replaceWith(nextFooter);
    shown = next.dataset.version ?? version ?? shown;
    return true;
  };

  const refresh = async (): Promise<void> => {
    asksAgain = isAsking;
    if (isAsking) return;
    isAsking = true;
    clearTimeout(later);
    let isShown: boolean;
    do {
      asksAgain = false;
      isShown = await ask().catch(() => false);
    } while (asksAgain);
    isAsking = false;
    say(isShown && told !== undefined ? 'live' : 'away');
    // The stream tells only of the next change, or where it stands when it is back.
    if (!isShown) later = setTimeout(() => told !== undefined && void refresh(), 5_000);
  };

  const open = (): void => {
    if (source !== undefined || document.hidden) return;
    source = new EventSource(`${stream}?of=${encodeURIComponent(topic)}`);
    source.addEventListener('version', ({ data }: MessageEvent<string>) => {
      refusedAt = Number.NEGATIVE_INFINITY;
      told = data === 'away' ? undefined : data;
      if (told === undefined) return say('away');
      shown ??= data;
      if (data === shown) say('live');
      else void refresh();
    });
    source.addEventListener('error', () => {
      told = undefined;
      say('away');
      // A browser gives up after an answer that is no stream.
      if (source?.readyState === EventSource.CLOSED) {
        close();
        askRefused();
        setTimeout(open, 5_000);
      }
    });
  };
  /** Where the login is over, the page itself leads to it. Where there is no room for the stream, as little as can be is asked for. */
  const askRefused = (): void => {
    if (Date.now() - refusedAt < 60_000) return;
    refusedAt = Date.now();
    void refresh();
  };
  const close = (): void => {
    source?.close();
    source = undefined;
    told = undefined;
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
