import { type ComponentChild, div, el, h, span, type VNode } from './html.ts';
import { ago, shortDigest, utcTime } from './text.ts';
import { at, type PageView, paths } from './view.ts';

/** Small parts that several pages have. */

/** What a colour and a sign stand for. */
export type Tone = 'good' | 'bad' | 'wait' | 'run' | 'calm';

const tones: Readonly<Record<string, Tone>> = {
  delivered: 'good',
  proposed: 'good',
  passed: 'good',
  healthy: 'good',
  blocked: 'bad',
  failed: 'bad',
  'rolled-back': 'bad',
  'timed out': 'bad',
  unhealthy: 'bad',
  waiting: 'wait',
  skipped: 'wait',
  rejected: 'wait',
  expired: 'wait',
  running: 'run',
  watched: 'run',
};

export function toneOf(status: string): Tone {
  return (Object.hasOwn(tones, status) ? tones[status] : undefined) ?? 'calm';
}

/** Each has a shape of its own, for those who do not tell the colours apart. */
const shapes: Readonly<Record<Tone, string>> = {
  good: 'M3.5 8.5l3 3 6-7',
  bad: 'M4.5 4.5l7 7M11.5 4.5l-7 7',
  wait: 'M5.5 4v8M10.5 4v8',
  run: 'M5.5 3.5l6 4.5-6 4.5z',
  calm: 'M4 8h8',
};

export function sign(tone: Tone): VNode {
  const path = h('path', { d: shapes[tone] });
  return el('svg', `sign ${tone}`, { viewBox: '0 0 16 16', width: 14, height: 14, 'aria-hidden': 'true' }, path);
}

/** A status in a word, with its sign. */
export function pill(status: string, tone = toneOf(status)): VNode {
  return span(`pill ${tone}`, sign(tone), status);
}

export function since({ now }: Pick<PageView, 'now'>, iso: string): VNode {
  return h('time', { datetime: iso, title: utcTime(iso) }, ago(iso, now));
}

/** The short form, with the whole one for who points at it or copies it. */
export function digestCode(digest: string): VNode {
  return el('code', 'digest', { title: digest }, shortDigest(digest));
}

export function rolloutLink(view: PageView, rollout: string, ...children: readonly ComponentChild[]): VNode {
  return h('a', { href: at(view, paths.rollout(rollout)) }, ...children);
}

export function serviceLink(view: PageView, service: string): VNode {
  return el('a', 'service', { href: at(view, paths.service(service)) }, service);
}

/** `team/web:1.2` without the registry, which says little beside others of it; all of it for who points at it. */
export function imageName(image: string): VNode {
  const slash = image.indexOf('/');
  return el('span', 'image', { title: image }, slash < 0 ? image : image.slice(slash + 1));
}

export function section(id: string, title: ComponentChild, ...children: readonly ComponentChild[]): VNode {
  const heading = h('h2', { id }, title);
  return el('section', '', { 'data-key': id, 'aria-labelledby': id }, heading, ...children);
}

/** Facts as name and value. */
export function facts(entries: readonly (readonly [string, ComponentChild])[]): VNode {
  const rows = entries.map(([name, value]) => div('', h('dt', null, name), h('dd', null, value)));
  return el('dl', 'facts', {}, ...rows);
}

/** A table whose cells carry the name of their column, for screens on which a row is a block. */
export function dataTable(
  label: string,
  columns: readonly string[],
  rows: readonly { readonly key: string; readonly cells: readonly ComponentChild[] }[],
): VNode {
  const head = h('tr', null, ...columns.map((name) => h('th', { scope: 'col' }, name)));
  const body = rows.map(({ key, cells }) => {
    const all = cells.map((cell, index) => h('td', { 'data-label': columns[index] }, isEmpty(cell) ? '' : div('', cell)));
    return h('tr', { 'data-key': key }, ...all);
  });
  return el('table', 'data', { 'aria-label': label }, h('thead', null, head), h('tbody', null, ...body));
}

function isEmpty(cell: ComponentChild): boolean {
  return cell === '' || cell === undefined || cell === null || cell === false;
}
