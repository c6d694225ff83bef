import { createHash } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import { fine } from '../../domain/diagnosis.ts';
import { Refusal } from '../../domain/failures.ts';
import { inert, shortened } from '../../domain/inert-text.ts';
import { levelColours, type Notice, type NoticeLine, type NoticeText, noticeText } from '../../domain/notice.ts';
import { named } from '../http.ts';
import type { Notifier, NotifierContext } from '../notifier.ts';

export interface EmailTarget {
  /** Reference of the server's address, with user and password. */
  readonly smtp: string;
  readonly from: string;
  readonly to: readonly string[];
}

export interface EmailDependencies extends Pick<NotifierContext, 'secrets'> {
  /** What is trusted besides the certificates that Node trusts. */
  readonly smtpTls?: Pick<ConnectionOptions, 'ca'>;
}

/** A line of a header is folded by mail programs; what is longer is cut by some. */
const longestSubject = 200;
/** For the whole conversation with the server, below the time that the workflow gives one try. */
const timeoutMs = 45_000;
const stepTimeoutMs = 20_000;
const ports = { 'smtp:': 587, 'smtps:': 465 } as const;

/** A message for each notice, threaded under the first one of its rollout. */
export function createEmail(dependencies: EmailDependencies): Notifier<EmailTarget> {
  return {
    async send({ target, notice, thread, signal, warn }) {
      const what = named('mail server', target.smtp);
      // Loaded where there is mail to send: it takes 5 MB.
      const { createTransport } = await import('nodemailer');
      const transport = createTransport(transportOf(target, what, dependencies));
      const text = noticeText(notice);
      const { id, references } = messageIds(notice, target.from, thread?.first);
      const from = addressLine(target.from, what);
      const to = target.to.map((address) => addressLine(address, what));
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        const { rejected } = await transport.sendMail({
          from,
          to,
          subject: shortened(text.title, longestSubject),
          text: mailText(text),
          html: mailHtml(text),
          messageId: id,
          ...(references !== undefined && { inReplyTo: references, references }),
          date: new Date(notice.at),
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Landfall-Event': notice.event },
          disableFileAccess: true,
          disableUrlAccess: true,
          signal: AbortSignal.any([signal, timeout]),
        });
        // Those who got it must not get it again.
        if (rejected.length > 0)
          warn?.(`${what} refused ${rejected.map((address) => inert(address)).join(', ')}, and took the rest`);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (timeout.aborted) throw new Error(`${what} did not take the message within ${timeoutMs / 1000} s`);
        throw judgedMail(what, error);
      } finally {
        transport.close();
      }
      return thread?.first === undefined ? { first: id } : undefined;
    },
    async diagnose(target) {
      const what = named('mail server', target.smtp);
      const { createTransport } = await import('nodemailer');
      const transport = createTransport(transportOf(target, what, dependencies));
      try {
        await transport.verify();
        return fine(`${what} lets us in`);
      } catch (error) {
        throw judgedMail(what, error);
      } finally {
        transport.close();
      }
    },
  };
}

/** `smtp://` begins in the clear and goes on by STARTTLS wherever the server offers it, and in any case where there is a password. */
function transportOf(target: EmailTarget, what: string, { secrets, smtpTls }: EmailDependencies) {
  const url = URL.parse(secrets(target.smtp));
  if ((url?.protocol !== 'smtp:' && url?.protocol !== 'smtps:') || url.hostname === '')
    throw new Refusal(
      'NoticeRefused',
      `expected ${what} as smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://..., found something else: correct it`,
    );
  const withPassword = url.username !== '';
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? ports[url.protocol] : Number(url.port),
    secure: url.protocol === 'smtps:',
    requireTLS: withPassword,
    ...(withPassword && { auth: { user: decoded(url.username), pass: decoded(url.password) } }),
    connectionTimeout: stepTimeoutMs,
    greetingTimeout: stepTimeoutMs,
    socketTimeout: stepTimeoutMs,
    dnsTimeout: stepTimeoutMs,
    logger: false,
    ...(smtpTls !== undefined && { tls: smtpTls }),
  };
}

/** A `%` that is no escape stands for itself. */
function decoded(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURIComponent(escapes);
    } catch {
      return escapes;
    }
  });
}

function addressLine(address: string, what: string): string {
  if (!/[\p{Cc}\p{Zl}\p{Zp}]/u.test(address)) return address;
  throw new Refusal(
    'NoticeRefused',
    `expected addresses on one line for ${what}, found a control character: correct from and to`,
  );
}

/** Without a cause: what servers and libraries say may hold the password. */
function judgedMail(what: string, error: unknown): Error {
  const [code, status, command, response] = ['code', 'responseCode', 'command', 'response'].map((name) =>
    error instanceof Error ? Reflect.get(error, name) : undefined,
  );
  const login = code === 'EAUTH' || String(command ?? '').startsWith('AUTH');
  const said = typeof response === 'string' && !login ? `: ${inert(response, 200)}` : '';
  const found = `${what} failed: ${typeof status === 'number' ? `${status} ` : ''}${typeof code === 'string' ? code : 'unknown'}${said}`;
  // A 503 speaks of the conversation, not of the message: RFC 5321, section 4.2.
  const isFinal = typeof status === 'number' && status >= 500 && status !== 503;
  if (!isFinal) return new Error(found);
  if (login) return new Refusal('CredentialsRefused', `${found}: renew user and password`);
  return new Refusal('NoticeRefused', `${found}: correct sender, receivers or server`);
}

/** By RFC 5322: the same for every try of one notice, so that a mail program shows a message that came twice once. */
function messageIds(
  { rollout, runId, number }: Notice,
  from: string,
  first: string | undefined,
): { readonly id: string; readonly references?: string } {
  const domain = /@([A-Za-z0-9](?:[A-Za-z0-9.-]{0,200}))>?\s*$/.exec(from)?.[1] ?? 'landfall.invalid';
  const story = createHash('sha256').update(`${rollout}\n${runId}`).digest('hex').slice(0, 32);
  const id = `<landfall.${story}.${number}@${domain}>`;
  return first === undefined || first === id ? { id } : { id, references: first };
}

function mailText({ title, subject, story, links, log }: NoticeText): string {
  const paragraphs = story.map(({ name, value }) => `${name}: ${value}`);
  const facts = [...subject, ...links].map(({ name, value }) => `${name}: ${value}`);
  return `${[title, ...paragraphs, ...(log.length === 0 ? [] : [log.map((line) => `| ${line}`).join('\n')]), facts.join('\n')].join('\n\n')}\n`;
}

/** Simple enough for every mail program: no pictures, no style sheet, nothing that is loaded. */
function mailHtml({ title, level, subject, story, links, log }: NoticeText): string {
  const colour = `#${levelColours[level].toString(16).padStart(6, '0')}`;
  const rows = [...subject, ...links].map(
    (line) => `<tr><td style="padding-right:1em;vertical-align:top">${escaped(line.name)}</td><td>${cell(line)}</td></tr>`,
  );
  return [
    '<!doctype html><html><body>',
    `<h2 style="border-left:6px solid ${colour};padding-left:8px">${escaped(title)}</h2>`,
    ...story.map(({ name, value }) => `<p><b>${escaped(name)}:</b> ${escaped(value)}</p>`),
    ...(log.length === 0 ? [] : [`<pre>${log.map(escaped).join('\n')}</pre>`]),
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
