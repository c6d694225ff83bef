import { startTargetServer, type TargetReply, type TargetServer } from './target-server.ts';

interface Embed {
  readonly title?: string;
  readonly description?: string;
  readonly color?: number;
  readonly timestamp?: string;
  readonly fields?: readonly { readonly name: string; readonly value: string; readonly inline?: boolean }[];
}

export interface DiscordMessage {
  readonly id: string;
  content: string;
  embeds: readonly Embed[];
  /** How often it was edited. */
  edits: number;
}

export interface Discord extends TargetServer {
  /** The address of the webhook, with its token. */
  readonly webhook: string;
  readonly messages: DiscordMessage[];
  /** Somebody deletes the webhook at Discord. */
  removeWebhook(): void;
}

const path = '/api/webhooks/1234567890/the-token';

/** Discord's webhooks, with its documented limits: https://docs.discord.com/developers/resources/webhook#execute-webhook */
export async function startDiscord(): Promise<Discord> {
  const messages: DiscordMessage[] = [];
  let webhook = true;
  let id = 1_100_000_000_000_000_000n;
  const server = await startTargetServer((request) => {
    const url = new URL(request.path, 'http://discord.test');
    if (!webhook || !url.pathname.startsWith(path)) return failure(404, 10015, 'Unknown Webhook');
    const body = JSON.parse(request.text) as Record<string, unknown>;
    const problems = problemsOf(body);
    if (problems.length > 0) return { status: 400, body: { message: 'Invalid Form Body', code: 50035, errors: { problems } } };
    const shown = { content: String(body.content ?? ''), embeds: (body.embeds ?? []) as Embed[] };
    if (request.method === 'PATCH') {
      const message = messages.find((candidate) => url.pathname === `${path}/messages/${candidate.id}`);
      if (message === undefined) return failure(404, 10008, 'Unknown Message');
      Object.assign(message, shown, { edits: message.edits + 1 });
      return { status: 200, body: message };
    }
    if (request.method !== 'POST' || url.pathname !== path) return failure(405, 0, '405: Method Not Allowed');
    id += 1n;
    const message = { id: String(id), ...shown, edits: 0 };
    messages.push(message);
    return url.searchParams.get('wait') === 'true' ? { status: 200, body: message } : { status: 204 };
  });
  return {
    ...server,
    webhook: `${server.url}${path}`,
    messages,
    removeWebhook() {
      webhook = false;
    },
  };
}

function failure(status: number, code: number, message: string): TargetReply {
  return { status, body: { message, code } };
}

/** What Discord would answer with 400 to. */
export function problemsOf(body: Record<string, unknown>): string[] {
  const problems: string[] = [];
  const embeds = (body.embeds ?? []) as Embed[];
  const limit = (what: string, text: unknown, most: number, least = 0) => {
    if (typeof text !== 'string' || text.length > most || text.length < least)
      problems.push(`${what}: ${least} to ${most} characters`);
  };
  const known = new Set(['content', 'embeds', 'allowed_mentions', 'username', 'avatar_url', 'tts', 'components', 'flags']);
  for (const name of Object.keys(body)) if (!known.has(name)) problems.push(`${name}: unknown`);
  limit('content', body.content ?? '', 2000);
  if (!body.content && embeds.length === 0) problems.push('Cannot send an empty message');
  if (embeds.length > 10) problems.push('embeds: at most 10');
  const parse = (body.allowed_mentions as { parse?: unknown } | undefined)?.parse;
  if (parse !== undefined && !Array.isArray(parse)) problems.push('allowed_mentions.parse: a list');
  for (const { title = '', description = '', color = 0, timestamp, fields = [] } of embeds) {
    limit('title', title, 256);
    limit('description', description, 4096);
    if (!Number.isInteger(color) || color < 0 || color > 0xffffff) problems.push('color: 0 to 16777215');
    if (timestamp !== undefined && !/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(timestamp)) problems.push('timestamp: ISO 8601');
    if (fields.length > 25) problems.push('fields: at most 25');
    for (const field of fields) {
      limit('field name', field.name.trim(), 256, 1);
      limit('field value', field.value.trim(), 1024, 1);
    }
    const total = [title, description, ...fields.flatMap(({ name, value }) => [name, value])].join('').length;
    if (total > 6000) problems.push('embed: at most 6000 characters');
  }
  return problems;
}
