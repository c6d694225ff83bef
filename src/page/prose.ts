import { type ComponentChild, h, isWebPage, outsideLink } from './html.ts';
import { shortDigest, utcTime } from './text.ts';

const special = /(sha256:[0-9a-f]{64})|(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)|(https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:)\]])/g;

/**
 * A sentence of Landfall's, which may quote anything: digests are cut to what people compare, times are in words, and web pages are links.
 * Everything else stays text.
 */
export function prose(text: string): ComponentChild[] {
  const nodes: ComponentChild[] = [];
  let end = 0;
  for (const match of text.matchAll(special)) {
    const [all, digest, time] = match;
    nodes.push(text.slice(end, match.index), nodeOf(all, digest, time));
    end = match.index + all.length;
  }
  return [...nodes, text.slice(end)];
}

function nodeOf(all: string, digest: string | undefined, time: string | undefined): ComponentChild {
  if (digest !== undefined) return h('code', { title: digest }, `sha256:${shortDigest(digest)}…`);
  if (time !== undefined) return h('time', { datetime: time, 'data-exact': 'true' }, utcTime(time));
  return isWebPage(all) ? outsideLink(all, all) : all;
}
