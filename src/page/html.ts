import { type Attributes, type ComponentChild, h, type VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';

/**
 * Pages are plain functions from data to Preact's nodes, in calls of `h`: Node runs TypeScript as it is, but no JSX, and with a build
 * before each start a change of a page would no longer be one of a file. Preact escapes every text and every attribute.
 */
export { type ComponentChild, h, type VNode };

export type Children = readonly ComponentChild[];

/** `h` with the classes first, which nearly every element here has. */
export function el(type: string, classes: string, attributes: Attributes, ...children: Children): VNode {
  return h(type, { class: classes, ...attributes }, ...children);
}

export const div = (classes: string, ...children: Children): VNode => el('div', classes, {}, ...children);
export const span = (classes: string, ...children: Children): VNode => el('span', classes, {}, ...children);
export const p = (classes: string, ...children: Children): VNode => el('p', classes, {}, ...children);

/** A whole document. */
export function documentText(root: VNode): string {
  return `<!doctype html>\n${renderToString(root)}\n`;
}

/** To another site, in words that somebody may have written who is not known: only where it leads to a web page. */
export function outsideLink(url: string | undefined, ...children: Children): ComponentChild {
  if (url === undefined || !isWebPage(url)) return children;
  return el('a', 'out', { href: url, rel: 'noreferrer' }, ...children);
}

export function isWebPage(url: string): boolean {
  if (!/^https?:\/\//i.test(url)) return false;
  return URL.canParse(url) && new URL(url).username === '' && new URL(url).password === '';
}
