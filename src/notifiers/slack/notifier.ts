import { fine } from '../../domain/diagnosis.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { shortened } from '../../domain/inert-text.ts';
import { callsPerson, type Notice, type NoticeLevel, type NoticeLine, noticeSentence, noticeText } from '../../domain/notice.ts';
import { retryAfter } from '../../platform/http/headers.ts';
import { addressOf, ask, judged, memberOf, named, reached } from '../http.ts';
import type { Notifier, NotifierContext } from '../notifier.ts';

/** An incoming webhook can only add messages; a bot token can update and thread them. Addresses of webhooks and tokens are references. */
export type SlackTarget = { readonly url: string } | SlackTokenTarget;

interface SlackTokenTarget {
  readonly token: string;
  readonly channel: string;
  /** Base of the Web API; absent: https://slack.com/api */
  readonly api?: string;
  /** Whether that may be without TLS. */
  readonly plainHttp?: boolean;
}

/** Slack recommends at most 4,000 characters for the text that is shown where blocks are not. */
const longestText = 3_000;

/** Codes of `ok: false` that say something about the moment: https://docs.slack.dev/reference/methods/chat.postMessage#errors */
const passing = new Set(['internal_error', 'fatal_error', 'service_unavailable', 'request_timeout', 'team_added_to_org']);
const limiting = new Set(['ratelimited', 'rate_limited', 'message_limit_exceeded']);
/** The first message is gone, or cannot be changed any more: another one takes its place. */
const withoutMessage = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed', 'thread_not_found']);

/**
 * With a bot token: one message for each rollout, brought up to date, and a reply in its thread (shown in the channel, too) for what
 * calls a person, which is brought up to date, too. With an incoming webhook, which can do neither: a message for each notice.
 */
export function createSlack({ secrets }: Pick<NotifierContext, 'secrets'>): Notifier<SlackTarget> {
  return {
    async send({ target, notice, thread, signal }) {
      const text = escapedForSlack(noticeSentence(notice, longestText));
      const message = { text: shortened(text, longestText), blocks: slackBlocks(notice) };
      if ('url' in target) {
        await postToWebhook(secrets(target.url), named('Slack webhook', target.url), message, signal);
        return undefined;
      }
      const call = caller(target, secrets, signal);
      const quiet = { unfurl_links: false, unfurl_media: false };
      if (thread?.ts !== undefined && thread.channel !== undefined) {
        const { channel, ts } = thread;
        const replies = thread.calls?.split(',') ?? [];
        for (const reply of replies) await call('chat.update', { channel, ts: reply, ...message }, withoutMessage);
        const updated = await call('chat.update', { channel, ts, ...message }, withoutMessage);
        if (updated !== undefined && !callsPerson(notice)) return undefined;
        if (updated !== undefined) {
          const reply = await call('chat.postMessage', { channel, thread_ts: ts, reply_broadcast: true, ...message, ...quiet });
          return reply && { ...thread, calls: [...replies, reply.ts].slice(-mostCalls).join(',') };
        }
      }
      return await call('chat.postMessage', { channel: target.channel, ...message, ...quiet });
    },
    async diagnose(target, signal) {
      if ('url' in target) {
        const what = named('Slack webhook', target.url);
        return await reached(what, addressOf(secrets(target.url), what), signal);
      }
      return await tryToken(target, secrets, signal);
    },
  };
}

/** Replies that called a person and are still brought up to date. */
const mostCalls = 3;

const json = { 'content-type': 'application/json; charset=utf-8' };

/** @see https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
async function postToWebhook(address: string, what: string, message: object, signal: AbortSignal): Promise<void> {
  const url = addressOf(address, what);
  const answer = await ask({ what, url, headers: json, body: JSON.stringify(message), signal });
  if (answer.status === 200) return;
  // A code such as `no_service`; anything else is some proxy's page, which may show the address.
  const code = answer.text.trim();
  throw judged(what, answer, /^[a-z_]{1,60}$/.test(code) ? code : '');
}

/** @see https://docs.slack.dev/reference/methods/auth.test */
async function tryToken({ token, api, plainHttp }: SlackTokenTarget, secrets: NotifierContext['secrets'], signal: AbortSignal) {
  const what = `Slack's auth.test with ${named('token', token)}`;
  const url = methodAddress('auth.test', plainHttp, api);
  const authorization = `Bearer ${tokenOf(secrets(token), what)}`;
  const answer = await ask({ what, url, headers: { ...json, authorization }, body: '{}', signal });
  const [ok, error] = ['ok', 'error'].map((name) => memberOf(answer.text, name));
  if (ok === true) return fine(`Slack knows ${named('token', token)}`);
  throw ok === false && typeof error === 'string' ? refusal(what, error, answer.headers) : judged(what, answer);
}

function methodAddress(method: string, plainHttp: boolean | undefined, api = 'https://slack.com/api'): URL {
  return addressOf(`${api.replace(/\/+$/, '')}/${method}`, 'the address of the Slack API', plainHttp);
}

/** Calls a method of Slack's; undefined where its answer is one of the errors that are `borne`. */
function caller({ token, api, plainHttp }: SlackTokenTarget, secrets: NotifierContext['secrets'], signal: AbortSignal) {
  return async (method: 'chat.postMessage' | 'chat.update', body: object, borne: ReadonlySet<string> = new Set()) => {
    const what = `Slack's ${method} with ${named('token', token)}`;
    const url = methodAddress(method, plainHttp, api);
    const authorization = `Bearer ${tokenOf(secrets(token), what)}`;
    const answer = await ask({ what, url, headers: { ...json, authorization }, body: JSON.stringify(body), signal });
    const [ok, channel, ts, error] = ['ok', 'channel', 'ts', 'error'].map((name) => memberOf(answer.text, name));
    if (answer.status !== 200) throw judged(what, answer);
    if (ok === true && typeof channel === 'string' && typeof ts === 'string') return { channel, ts };
    if (ok !== false || typeof error !== 'string') throw judged(what, answer);
    if (borne.has(error)) return undefined;
    throw refusal(what, error, answer.headers);
  };
}

/** Anything else in a header would be refused by `fetch`, in a message that shows it. */
function tokenOf(token: string, what: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Refusal('NoticeRefused', `${what}: expected a token of visible ASCII characters, found something else: correct it`);
}

function refusal(what: string, error: string, headers: Headers): Error {
  const code = error.replace(/[^\w]/g, '').slice(0, 60);
  const found = `${what} was answered with ${code}`;
  if (limiting.has(error)) return new RateLimit(found, retryAfter(headers.get('retry-after'), Date.now()));
  if (passing.has(error)) return new Error(found);
  return new Refusal('NoticeRefused', `${found}: ${adviceFor(error)}`);
}

function adviceFor(error: string): string {
  if (['channel_not_found', 'not_in_channel', 'is_archived'].includes(error))
    return 'invite the bot to the channel that is configured';
  if (error === 'missing_scope') return 'give the bot the scope chat:write';
  if (/auth|token|account_inactive/.test(error)) return 'renew the bot token';
  return 'Slack does not take this notice';
}

/** Block Kit's limits, in characters: https://docs.slack.dev/reference/block-kit/blocks */
const longest = { header: 150, section: 3000, field: 2000, fields: 10 } as const;

const signs: Readonly<Record<NoticeLevel, string>> = {
  success: '✅',
  failure: '🔴',
  attention: '🟡',
  progress: '🔵',
  neutral: '⚪',
};

/** A notice as a few blocks. What comes from outside is plain text, or an identifier in code, so that nothing of it is markup. */
function slackBlocks(notice: Notice) {
  const { title, level, subject, story, links, log } = noticeText(notice);
  return [
    { type: 'header', text: plain(`${signs[level]} ${title}`, longest.header) },
    { type: 'section', fields: subject.slice(0, longest.fields).map(field) },
    ...story.map(({ name, value }) => ({ type: 'section', text: plain(`${name}: ${value}`, longest.section) })),
    ...(log.length === 0 ? [] : [{ type: 'section', text: plain(log.join('\n'), longest.section) }]),
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
function escapedForSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
