import { RateLimit } from '../../domain/failures.ts';
import { shortened } from '../../domain/inert-text.ts';
import { imageName, levelColours, type Notice, type NoticeLine, noticeText } from '../../domain/notice.ts';
import type { HttpAnswer } from '../../platform/http/client.ts';
import { addressOf, ask, judged, memberOf, named } from '../http.ts';
import type { Notifier, NotifierContext } from '../notifier.ts';

interface DiscordTarget {
  /** Reference of the address of a webhook. */
  readonly url: string;
}

/** Discord's limits, in characters: https://discord.com/developers/docs/resources/message#embed-object-embed-limits */
const longest = { content: 2000, title: 256, name: 256, value: 1024 } as const;
/** Discord takes 4096, and 6000 for the whole embed: the fields need the rest. */
const longestDescription = 3500;
/** Error codes in answers: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json */
const unknownMessage = 10008;

/** One message for each rollout, which is edited as the rollout goes on. */
export function createDiscord({ secrets }: Pick<NotifierContext, 'secrets'>): Notifier<DiscordTarget> {
  return {
    async send({ target, notice, thread, signal }) {
      const what = named('Discord webhook', target.url);
      const webhook = addressOf(secrets(target.url), what);
      const body = JSON.stringify(messageOf(notice));
      const headers = { 'content-type': 'application/json' };
      if (thread?.message !== undefined) {
        const url = below(webhook, `/messages/${encodeURIComponent(thread.message)}`);
        const answer = await ask({ what, method: 'PATCH', url, headers, body, signal });
        if (answer.status === 200) return undefined;
        // Somebody deleted the message: another one takes its place.
        if (answer.status !== 404 || memberOf(answer.text, 'code') !== unknownMessage) throw judgedAnswer(what, answer);
      }
      const url = below(webhook, '');
      // Without it Discord does not say which message it made.
      url.searchParams.set('wait', 'true');
      const answer = await ask({ what, url, headers, body, signal });
      const message = memberOf(answer.text, 'id');
      if (answer.status !== 200 || typeof message !== 'string') throw judgedAnswer(what, answer);
      return { message };
    },
  };
}

/** The address may have a query (`thread_id`), which stays. */
function below(webhook: URL, path: string): URL {
  const url = new URL(webhook);
  url.pathname = url.pathname.replace(/\/+$/, '') + path;
  return url;
}

/** Discord names the wait in its body to the millisecond, and in a header rounded up. */
function judgedAnswer(what: string, answer: HttpAnswer): Error {
  const code = memberOf(answer.text, 'code');
  const error = judged(what, answer, typeof code === 'number' && code > 0 ? `code ${code}` : '');
  const seconds = memberOf(answer.text, 'retry_after');
  if (!(error instanceof RateLimit) || typeof seconds !== 'number' || answer.headers.has('retry-after')) return error;
  return new RateLimit(error.message, new Date(Date.now() + Math.ceil(seconds * 1000)));
}

/** @see https://discord.com/developers/docs/resources/webhook#execute-webhook */
function messageOf(notice: Notice) {
  const { title, level, subject, story, links } = noticeText(notice);
  const status = notice.event === 'healthy' && notice.watched === false ? 'not watched' : notice.event;
  const shown = (wanted: string) => subject.find(({ name }) => name === wanted)?.value;
  const [service, stage] = [shown('Service') ?? '', shown('Stage')];
  const inline = [
    field('Service', service, true),
    field('Status', status, true),
    ...(stage === undefined ? [] : [field('Stage', stage, true)]),
  ];
  const rest = subject.filter(({ name }) => !['Service', 'Stage', 'Image'].includes(name));
  return {
    content: shortened(`🚀 Image Update: **${escaped(service)}**`, longest.content),
    embeds: [
      {
        title: shortened(`Deployment Status: ${status}`, longest.title),
        description: shortened([escaped(title), ...[...story, ...links].map(paragraph)].join('\n\n'), longestDescription),
        color: levelColours[level],
        timestamp: notice.at,
        fields: [...inline, { ...field('Image', ''), value: code(imageName(notice)) }, ...rest.map(lineField)],
      },
    ],
    // Nothing in the text may call anybody.
    allowed_mentions: { parse: [] },
  };
}

function field(name: string, value: string, inline = false) {
  return { name: shortened(name, longest.name), value: shortened(escaped(value) || '-', longest.value), inline };
}

function lineField({ name, value, kind }: NoticeLine) {
  return { ...field(name, value), ...(kind === 'identifier' && { value: code(value) }) };
}

function paragraph({ name, value, kind }: NoticeLine): string {
  return `**${name}:** ${kind === 'link' ? `<${value}>` : escaped(value)}`;
}

/** An identifier has no backticks. */
function code(identifier: string): string {
  return `\`${shortened(identifier, longest.value - 2)}\``;
}

/** Signs that Discord's Markdown gives a meaning within a line. */
function escaped(text: string): string {
  return text.replace(/[\\*_~`|<>[\]()#]/g, '\\$&');
}
