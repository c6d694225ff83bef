import { createHash } from 'node:crypto';
import type { Notice } from '../../domain/notice.ts';
import { levelColours, type NoticeLine, type NoticeText } from '../../domain/notice-text.ts';

/** By RFC 5322: the same for every try of one notice, so that a mail program shows a message that came twice once. */
export function messageIds(
  { rollout, runId, number }: Notice,
  from: string,
  first: string | undefined,
): { readonly id: string; readonly references?: string } {
  const domain = /@([A-Za-z0-9](?:[A-Za-z0-9.-]{0,200}))>?\s*$/.exec(from)?.[1] ?? 'landfall.invalid';
  const story = createHash('sha256').update(`${rollout}\n${runId}`).digest('hex').slice(0, 32);
  const id = `<landfall.${story}.${number}@${domain}>`;
  return first === undefined || first === id ? { id } : { id, references: first };
}

export function mailText({ title, subject, story, links }: NoticeText): string {
  const paragraphs = story.map(({ name, value }) => `${name}: ${value}`);
  const facts = [...subject, ...links].map(({ name, value }) => `${name}: ${value}`);
  return `${[title, ...paragraphs, facts.join('\n')].join('\n\n')}\n`;
}

/** Simple enough for every mail program: no pictures, no style sheet, nothing that is loaded. */
export function mailHtml({ title, level, subject, story, links }: NoticeText): string {
  const colour = `#${levelColours[level].toString(16).padStart(6, '0')}`;
  const rows = [...subject, ...links].map(
    (line) => `<tr><td style="padding-right:1em;vertical-align:top">${escaped(line.name)}</td><td>${cell(line)}</td></tr>`,
  );
  return [
    '<!doctype html><html><body>',
    `<h2 style="border-left:6px solid ${colour};padding-left:8px">${escaped(title)}</h2>`,
    ...story.map(({ name, value }) => `<p><b>${escaped(name)}:</b> ${escaped(value)}</p>`),
    `<table>${rows.join('')}</table>`,
    '</body></html>',
  ].join('\n');
}

function cell({ value, kind }: NoticeLine): string {
  if (kind === 'link') return `<a href="${escaped(value)}">${escaped(value)}</a>`;
  return kind === 'identifier' ? `<code>${escaped(value)}</code>` : escaped(value);
}

const references: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => references[sign] ?? '');
}
