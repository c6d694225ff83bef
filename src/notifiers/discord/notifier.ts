import { fine } from '../../domain/diagnosis.ts';
import { RateLimit } from '../../domain/failures.ts';
import { shortened } from '../../domain/inert-text.ts';
import { callsPerson, imageName, levelColours, type Notice, type NoticeLine, noticeText } from '../../domain/notice.ts';
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

/** Messages that called a person and are still brought up to date. */
const mostCalls = 3;

/**
 * One message for each rollout, which is edited as the rollout goes on. Discord tells nobody of an edit, so what calls a person is a message of its
 * own, and edited with the first one from then on: it asks for nothing that is done.
 */
export function createDiscord({ secrets }: Pick<NotifierContext, 'secrets'>): Notifier<DiscordTarget> {
  return {
    async send({ target, notice, thread, signal }) {
      const what = named('Discord webhook', target.url);
      const webhook = addressOf(secrets(target.url), what);
      const body = JSON.stringify(messageOf(notice));
      const headers = { 'content-type': 'application/json' };
      /** @returns false where somebody has deleted the message */
      const edit = async (message: string): Promise<boolean> => {
        const url = below(webhook, `/messages/${encodeURIComponent(message)}`);
        const answer = await ask({ what, method: 'PATCH', url, headers, body, signal });
        if (answer.status === 200) return true;
        if (answer.status !== 404 || memberOf(answer.text, 'code') !== unknownMessage) throw judgedAnswer(what, answer);
        return false;
      };
      const calls = thread?.calls?.split(',') ?? [];
      for (const call of calls) await edit(call);
      const isThere = thread?.message !== undefined && (await edit(thread.message));
      if (isThere && !callsPerson(notice)) return undefined;
      const url = below(webhook, '');
      // Without it Discord does not say which message it made.
      url.searchParams.set('wait', 'true');
      const answer = await ask({ what, url, headers, body, signal });
      const message = memberOf(answer.text, 'id');
      if (answer.status !== 200 || typeof message !== 'string') throw judgedAnswer(what, answer);
      if (!isThere) return { ...thread, message };
      return { ...thread, calls: [...calls, message].slice(-mostCalls).join(',') };
    },
    // Whoever has its address may ask what it is: https://discord.com/developers/docs/resources/webhook#get-webhook-with-token
    async diagnose(target, signal) {
      const what = named('Discord webhook', target.url);
      const answer = await ask({ what, method: 'GET', url: below(addressOf(secrets(target.url), what), ''), signal });
      if (answer.status !== 200) throw judgedAnswer(what, answer);
      return fine(`${what} is there`);
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
  const { title, level, subject, story, links, log } = noticeText(notice);
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
        description: shortened(
          [escaped(title), ...[...story, ...links].map(paragraph), ...logBlock(log)].join('\n\n'),
          longestDescription,
        ),
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

function logBlock(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`\`\`\`\n${lines.join('\n').replaceAll('`', "'")}\n\`\`\``];
}

/** An identifier has no backticks. */
function code(identifier: string): string {
  return `\`${shortened(identifier, longest.value - 2)}\``;
}

/** Signs that Discord's Markdown gives a meaning within a line. */
function escaped(text: string): string {
  return text.replace(/[\\*_~`|<>[\]()#]/g, '\\$&');
}
