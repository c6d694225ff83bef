import { RateLimit, Refusal } from '../../domain/failures.ts';
import { shortened } from '../../domain/inert-text.ts';
import { callsPerson, noticeSentence } from '../../domain/notice-text.ts';
import { retryAfter } from '../../platform/http/headers.ts';
import { addressOf, ask, judged, memberOf, named } from '../http.ts';
import type { Delivery, MessageIds, Notifier, NotifierContext } from '../notifier.ts';
import { escapedForSlack, slackBlocks } from './blocks.ts';
import type { SlackTarget } from './plan.ts';

/** Slack recommends at most 4,000 characters for the text that is shown where blocks are not. */
const longestText = 3_000;

/** Codes of `ok: false` that say something about the moment: https://docs.slack.dev/reference/methods/chat.postMessage#errors */
const passing = new Set(['internal_error', 'fatal_error', 'service_unavailable', 'request_timeout', 'team_added_to_org']);
const limiting = new Set(['ratelimited', 'rate_limited', 'message_limit_exceeded']);
/** The first message is gone, or cannot be changed any more: another one takes its place. */
const withoutMessage = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed', 'thread_not_found']);

/**
 * With a bot token: one message for each rollout, brought up to date, and a reply in its thread (shown in the channel, too) for what
 * calls a person. With an incoming webhook, which can do neither: a message for each notice.
 */
export function createSlack({ secrets }: Pick<NotifierContext, 'secrets'>): Notifier<SlackTarget> {
  return {
    async send({ target, notice, thread, signal }: Delivery<SlackTarget>): Promise<MessageIds | undefined> {
      const text = escapedForSlack(noticeSentence(notice, longestText));
      const message = { text: shortened(text, longestText), blocks: slackBlocks(notice) };
      if ('url' in target) {
        await postToWebhook(target.url, message, secrets, signal);
        return undefined;
      }
      const call = caller(target, secrets, signal);
      const quiet = { unfurl_links: false, unfurl_media: false };
      if (thread?.ts !== undefined && thread.channel !== undefined) {
        const { channel, ts } = thread;
        const updated = await call('chat.update', { channel, ts, ...message });
        if (updated.ok) {
          if (callsPerson(notice)) {
            const reply = { channel, thread_ts: ts, reply_broadcast: true, ...message, ...quiet };
            accepted(await call('chat.postMessage', reply));
          }
          return undefined;
        }
        if (!withoutMessage.has(updated.error)) throw refusal(updated);
      }
      const posted = accepted(await call('chat.postMessage', { channel: target.channel, ...message, ...quiet }));
      return { channel: posted.channel, ts: posted.ts };
    },
  };
}

/** @see https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
async function postToWebhook(
  reference: string,
  message: object,
  secrets: NotifierContext['secrets'],
  signal: AbortSignal,
): Promise<void> {
  const what = named('Slack webhook', reference);
  const url = addressOf(secrets(reference), what);
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  const answer = await ask({ what, method: 'POST', url, headers, body: JSON.stringify(message), signal });
  if (answer.status === 200) return;
  // A code such as `no_service`; anything else is some proxy's page, which may show the address.
  const code = answer.text.trim();
  throw judged(what, answer, /^[a-z_]{1,60}$/.test(code) ? code : '');
}

type Called =
  | { readonly ok: true; readonly what: string; readonly channel: string; readonly ts: string }
  | { readonly ok: false; readonly what: string; readonly error: string; readonly headers: Headers };

function caller(target: Exclude<SlackTarget, { url: string }>, secrets: NotifierContext['secrets'], signal: AbortSignal) {
  return async (method: 'chat.postMessage' | 'chat.update', body: object): Promise<Called> => {
    const what = `Slack's ${method} with ${named('token', target.token)}`;
    const url = addressOf(
      `${(target.api ?? 'https://slack.com/api').replace(/\/+$/, '')}/${method}`,
      'the address of the Slack API',
    );
    const headers = {
      'content-type': 'application/json; charset=utf-8',
      authorization: `Bearer ${tokenOf(secrets(target.token), what)}`,
    };
    const answer = await ask({ what, method: 'POST', url, headers, body: JSON.stringify(body), signal });
    const ok = memberOf(answer.text, 'ok');
    const [channel, ts, error] = ['channel', 'ts', 'error'].map((name) => memberOf(answer.text, name));
    if (answer.status !== 200) throw judged(what, answer);
    if (ok === true && typeof channel === 'string' && typeof ts === 'string') return { ok, what, channel, ts };
    if (ok === false && typeof error === 'string') return { ok, what, error, headers: answer.headers };
    throw judged(what, answer);
  };
}

/** Anything else in a header would be refused by `fetch`, in a message that shows it. */
function tokenOf(token: string, what: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Refusal('NoticeRefused', `${what}: expected a token of visible ASCII characters, found something else: correct it`);
}

function accepted(called: Called): Extract<Called, { ok: true }> {
  if (called.ok) return called;
  throw refusal(called);
}

function refusal({ what, error, headers }: Extract<Called, { ok: false }>): Error {
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
