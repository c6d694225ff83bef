import { startTargetServer, type TargetReply, type TargetRequest, type TargetServer } from './target-server.ts';

export interface SlackMessage {
  readonly channel: string;
  readonly ts: string;
  readonly threadTs?: string;
  readonly broadcast: boolean;
  text: string;
  blocks: readonly Block[];
  edits: number;
}

interface TextObject {
  readonly type: string;
  readonly text: string;
}

interface Block {
  readonly type: string;
  readonly text?: TextObject;
  readonly fields?: readonly TextObject[];
}

export interface Slack extends TargetServer {
  /** The address of an incoming webhook. */
  readonly webhook: string;
  /** Base of the Web API. */
  readonly api: string;
  readonly token: string;
  readonly messages: SlackMessage[];
  /** The error that the next call of the Web API is answered with, with HTTP status 200. */
  refuseNext(error: string): void;
  /** Somebody removes the app from the channel. */
  removeWebhook(): void;
}

const webhookPath = '/services/T00000000/B00000000/the-secret-part';
const token = 'xoxb-the-token';
/** Channels that the bot is in: name and id. */
const channels: Readonly<Record<string, string>> = { '#deployments': 'C024BE91L', C024BE91L: 'C024BE91L' };

/** Slack's incoming webhooks and as much of its Web API as Landfall uses, with the documented limits of both. */
export async function startSlack(): Promise<Slack> {
  const messages: SlackMessage[] = [];
  const refusals: string[] = [];
  let webhook = true;
  let count = 0;
  const post = (channel: string, body: Record<string, unknown>, threadTs?: string): SlackMessage => {
    count += 1;
    const message: SlackMessage = {
      channel,
      ts: `1503435956.${String(count).padStart(6, '0')}`,
      ...(threadTs !== undefined && { threadTs }),
      broadcast: body.reply_broadcast === true,
      text: String(body.text ?? ''),
      blocks: (body.blocks ?? []) as Block[],
      edits: 0,
    };
    messages.push(message);
    return message;
  };
  const call = (method: string, body: Record<string, unknown>): Record<string, unknown> => {
    const channel = channels[String(body.channel)];
    if (channel === undefined) return { ok: false, error: 'channel_not_found' };
    const wrong = problemOf(body);
    if (wrong !== undefined) return { ok: false, error: wrong };
    const find = (ts: unknown) => messages.find((message) => message.ts === ts && message.channel === channel);
    if (method === 'chat.update') {
      // It takes ids only, as Slack's documentation says.
      const message = body.channel === channel ? find(body.ts) : undefined;
      if (message === undefined) return { ok: false, error: 'message_not_found' };
      Object.assign(message, { text: body.text, blocks: body.blocks, edits: message.edits + 1 });
      return { ok: true, channel, ts: message.ts };
    }
    if (body.thread_ts !== undefined && find(body.thread_ts) === undefined) return { ok: false, error: 'thread_not_found' };
    const { ts } = post(channel, body, body.thread_ts as string | undefined);
    return { ok: true, channel, ts };
  };
  const server = await startTargetServer((request): TargetReply => {
    if (request.path === webhookPath) {
      if (!webhook) return { status: 404, body: 'no_service' };
      const body = bodyOf(request);
      const wrong = body === undefined ? 'invalid_payload' : problemOf(body);
      if (body === undefined || wrong !== undefined) return { status: 400, body: wrong ?? 'invalid_payload' };
      post('webhook', body);
      return { status: 200, body: 'ok' };
    }
    const method = /^\/api\/(chat\.postMessage|chat\.update)$/.exec(request.path)?.[1];
    if (method === undefined) return { status: 200, body: { ok: false, error: 'unknown_method' } };
    if (request.headers.authorization === undefined) return { status: 200, body: { ok: false, error: 'not_authed' } };
    if (request.headers.authorization !== `Bearer ${token}`) return { status: 200, body: { ok: false, error: 'invalid_auth' } };
    const refused = refusals.shift();
    if (refused !== undefined) return { status: 200, body: { ok: false, error: refused } };
    const body = bodyOf(request);
    return { status: 200, body: body === undefined ? { ok: false, error: 'invalid_json' } : call(method, body) };
  });
  return {
    ...server,
    webhook: `${server.url}${webhookPath}`,
    api: `${server.url}/api`,
    token,
    messages,
    refuseNext: (error) => void refusals.push(error),
    removeWebhook() {
      webhook = false;
    },
  };
}

function bodyOf({ headers, text }: TargetRequest): Record<string, unknown> | undefined {
  if (!headers['content-type']?.startsWith('application/json')) return undefined;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** The error code that Slack has for a message that it does not take. */
function problemOf(body: Record<string, unknown>): string | undefined {
  const { text, blocks } = body;
  if (blocks === undefined && (text === undefined || text === '')) return 'no_text';
  if (typeof text !== 'string' || text.length > 40_000) return 'msg_too_long';
  // Slack would take it, and call people: no notice may do that.
  if (hasMarkup(text)) return 'mention_in_text';
  if (blocks === undefined) return undefined;
  if (!Array.isArray(blocks) || blocks.length > 50) return 'invalid_blocks';
  return (blocks as Block[]).every(isBlock) ? undefined : 'invalid_blocks';
}

function isBlock({ type, text, fields }: Block): boolean {
  if (type === 'header') return isText(text, 150) && text?.type === 'plain_text';
  if (type !== 'section' || (text === undefined && fields === undefined)) return false;
  if (text !== undefined && !isText(text, 3000)) return false;
  return fields === undefined || (fields.length <= 10 && fields.length > 0 && fields.every((field) => isText(field, 2000)));
}

function isText(object: TextObject | undefined, most: number): boolean {
  if (object === undefined || typeof object.text !== 'string') return false;
  if (object.text.length < 1 || object.text.length > most || !['plain_text', 'mrkdwn'].includes(object.type)) return false;
  return !hasMarkup(object.text);
}

/** Anything between `<` and `>` but a link to the web: a mention of a person, a channel, or everybody. */
function hasMarkup(text: string): boolean {
  const rest = text.replace(/<https?:\/\/[^<>|\s]+\|[^<>|]+>/g, '').replace(/&(?:amp|lt|gt);/g, '');
  return /[<>&]/.test(rest);
}
