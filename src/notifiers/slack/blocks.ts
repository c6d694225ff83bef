import { shortened } from '../../domain/inert-text.ts';
import type { Notice } from '../../domain/notice.ts';
import { type NoticeLevel, type NoticeLine, noticeText } from '../../domain/notice-text.ts';

/** Block Kit's limits, in characters: https://docs.slack.dev/reference/block-kit/blocks */
const longest = { header: 150, section: 3000, field: 2000, fields: 10 } as const;

const signs: Readonly<Record<NoticeLevel, string>> = {
  success: '✅',
  failure: '🔴',
  attention: '🟡',
  progress: '🔵',
  neutral: '⚪',
};

/** A notice as at most five blocks. What comes from outside is plain text, or an identifier in code, so that nothing of it is markup. */
export function slackBlocks(notice: Notice) {
  const { title, level, subject, story, links } = noticeText(notice);
  return [
    { type: 'header', text: plain(`${signs[level]} ${title}`, longest.header) },
    { type: 'section', fields: subject.slice(0, longest.fields).map(field) },
    ...story.map(({ name, value }) => ({ type: 'section', text: plain(`${name}: ${value}`, longest.section) })),
    ...(links.length === 0 ? [] : [{ type: 'section', text: markdown(links.map(linkText).join('\n'), longest.section) }]),
  ];
}

function field({ name, value, kind }: NoticeLine) {
  if (kind === 'identifier') return markdown(`*${name}*\n\`${escapedForSlack(value)}\``, longest.field);
  return plain(`${name}\n${value}`, longest.field);
}

function linkText({ name, value, kind }: NoticeLine): string {
  return kind === 'link' ? `<${escapedForSlack(value)}|${name}>` : `${name}: ${escapedForSlack(value)}`;
}

function plain(text: string, most: number) {
  return { type: 'plain_text', text: cut(escapedForSlack(text), most), emoji: false };
}

/** `verbatim`: Slack makes no links, channels and mentions of what looks like one. */
function markdown(text: string, most: number) {
  return { type: 'mrkdwn', text: cut(text, most), verbatim: true };
}

/** Escaping makes text longer; a character reference that the cut went through is cut away whole. */
function cut(text: string, most: number): string {
  return text.length <= most ? text : `${shortened(text, most - 1, '').replace(/&[a-z]{0,3}$/, '')}…`;
}

/** The three characters that begin and end Slack's markup: https://docs.slack.dev/messaging/formatting-message-text#escaping */
export function escapedForSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
