import { islandFile, stylesFile } from './assets.ts';
import { type Children, div, documentText, el, h, p, span, type VNode } from './html.ts';
import { utcTime } from './text.ts';
import { at, type PageView, paths, type Theme, themes } from './view.ts';

export interface PageContent {
  readonly title: string;
  readonly current?: 'now' | 'rollouts' | 'record';
  /** Which stream tells of changes, and what it said when this was read: see `live.ts`. */
  readonly live?: { readonly topic: string; readonly version?: string };
  /** When it was read (ISO 8601), and from what. */
  readonly readAt: string;
  readonly readFrom: string;
  readonly body: Children;
  /** What was done, or could not be. */
  readonly message?: { readonly isProblem: boolean; readonly text: string };
}

/** A whole page: the head that all of them have, and what this one shows. */
export function pageText(view: PageView, content: PageContent): string {
  const { title, live, body, message } = content;
  const data = live && { 'data-topic': live.topic, 'data-version': live.version, 'data-stream': at(view, paths.live()) };
  return documentText(
    h(
      'html',
      { lang: 'en', ...(view.theme !== 'auto' && { 'data-theme': view.theme }) },
      head(view, title),
      h(
        'body',
        null,
        el('a', 'skip-link', { href: '#content' }, 'Skip to the content'),
        header(view, content),
        message && notice(message),
        h('main', { id: 'content', tabindex: -1, 'data-now': view.now, ...data }, ...body),
        footer(content),
      ),
    ),
  );
}

function head(view: PageView, title: string): VNode {
  return h(
    'head',
    null,
    h('meta', { charset: 'utf-8' }),
    h('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
    h('meta', { name: 'color-scheme', content: view.theme === 'auto' ? 'light dark' : view.theme }),
    h('title', null, title === '' ? 'Landfall' : `${title} · Landfall`),
    h('link', { rel: 'icon', type: 'image/svg+xml', href: at(view, '/assets/icon.svg') }),
    h('link', { rel: 'stylesheet', href: at(view, `/assets/${stylesFile.name}`) }),
    h('script', { type: 'module', src: at(view, `/assets/${islandFile.name}`) }),
  );
}

function header(view: PageView, { current, live }: PageContent): VNode {
  const entries = [
    { key: 'now', text: 'Now', path: paths.now() },
    { key: 'rollouts', text: 'Rollouts', path: paths.rollouts() },
    { key: 'record', text: 'Record', path: paths.record() },
  ] as const;
  const links = entries.map(({ key, text, path }) =>
    h('a', { href: at(view, path), ...(current === key && { 'aria-current': 'page' }) }, text),
  );
  return el(
    'header',
    'top',
    {},
    el('a', 'brand', { href: at(view, paths.now()) }, mark(), 'Landfall'),
    h('nav', { 'aria-label': 'Pages' }, ...links),
    div('top-right', live && el('span', 'live', { id: 'live', role: 'status' }), who(view), themeSwitch(view)),
  );
}

/** A shore, and what arrives at it. */
function mark(): VNode {
  const shore = h('path', { d: 'M2 17c3-2.5 5-2.5 8 0s5 2.5 8 0 3-1.5 4-1.2', class: 'shore' });
  const arrow = h('path', { d: 'M12 3v8m-3.5-3.2L12 11.3l3.5-3.5', class: 'arrow' });
  return el('svg', 'mark', { viewBox: '0 0 24 24', width: 22, height: 22, 'aria-hidden': 'true' }, shore, arrow);
}

function who({ viewer, base }: PageView): VNode | null {
  if (viewer.name === undefined) return null;
  const logout = h('form', { method: 'post', action: `${base}/logout` }, el('button', 'plain', { type: 'submit' }, 'Log out'));
  return div('who', span('', viewer.name), viewer.isLoggedIn && logout);
}

const themeNames: Readonly<Record<Theme, string>> = { auto: 'as the system', light: 'light', dark: 'dark' };

/** Goes round: as the system, light, dark. It is kept in a cookie. */
function themeSwitch(view: PageView): VNode {
  const next = themes[(themes.indexOf(view.theme) + 1) % themes.length] ?? 'auto';
  const icon = el(
    'svg',
    'theme-icon',
    { viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true' },
    h('circle', { cx: 8, cy: 8, r: 5.5 }),
    h('path', { d: 'M8 2.5a5.5 5.5 0 0 1 0 11z' }),
  );
  const label = `Colours: ${themeNames[view.theme]}. Switch to ${themeNames[next]}.`;
  return el(
    'form',
    'theme',
    { method: 'post', action: at(view, paths.theme()) },
    h('input', { type: 'hidden', name: 'theme', value: next }),
    h('input', { type: 'hidden', name: 'from', value: view.here }),
    el('button', 'plain', { type: 'submit', 'aria-label': label, title: label }, icon),
  );
}

function notice({ isProblem, text }: NonNullable<PageContent['message']>): VNode {
  const lines = text.split('\n').map((line) => p('', line));
  return el('div', `message ${isProblem ? 'bad' : 'good'}`, { role: isProblem ? 'alert' : 'status' }, ...lines);
}

function footer({ readAt, readFrom }: PageContent): VNode {
  return h('footer', null, 'Read ', h('time', { datetime: readAt, 'data-exact': 'true' }, utcTime(readAt)), ` from ${readFrom}.`);
}
