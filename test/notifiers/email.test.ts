import assert from 'node:assert/strict';
import type { Notice } from '../../src/domain/notice.ts';
import { createEmail, type EmailTarget } from '../../src/notifiers/email/notifier.ts';
import type { MessageIds } from '../../src/notifiers/notifier.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { errorOf, hostile, noticeOf, passing, refused, shownBy } from '../support/notices.ts';
import { type MailServer, type MailServerOptions, startMailServer } from '../support/smtp-server.ts';

describe('e-mail', () => {
  let server: MailServer;
  afterEach(() => server.stop());
  const start = async (options: MailServerOptions = {}) => {
    server = await startMailServer(options);
  };

  interface Wish {
    readonly url?: string;
    readonly thread?: MessageIds | undefined;
    readonly to?: readonly string[];
    readonly from?: string;
    readonly trusted?: boolean;
    readonly warn?: (message: string) => void;
  }
  const send = (
    notice: Partial<Notice> = {},
    { url, thread, to = ['team@example.test'], from, trusted = true, warn }: Wish = {},
  ) => {
    const target: EmailTarget = { smtp: 'env:SMTP_URL', from: from ?? 'Landfall <landfall@example.org>', to };
    return createEmail({
      secrets: () => url ?? `smtp://localhost:${server.port}`,
      ...(trusted && { smtpTls: { ca: server.ca } }),
    }).send({
      target,
      notice: noticeOf(notice),
      ...(thread !== undefined && { thread }),
      signal: new AbortController().signal,
      ...(warn !== undefined && { warn }),
    });
  };

  it('tells everybody, over TLS where the server offers it', async () => {
    await start();
    await send(
      { event: 'blocked', reason: 'deploy failed', advice: 'decide' },
      { to: ['a@example.test', 'Bo <b@example.test>'] },
    );
    const [mail] = server.mails;
    assert.equal(mail?.secure, true);
    assert.deepEqual([mail.from, mail.to], ['landfall@example.org', ['a@example.test', 'b@example.test']]);
    assert.equal(mail.headers.subject, 'web: the rollout is blocked');
    assert.equal(mail.headers['auto-submitted'], 'auto-generated');
    assert.match(mail.headers['content-type'] ?? '', /^multipart\/alternative/);
    assert.match(mail.raw, /Why: deploy failed\r\n\r\nWhat to do: decide/);
  });

  it('threads what comes later under the first message of the rollout', async () => {
    await start();
    const thread = await send({ event: 'deploying', number: 1 });
    assert.equal(await send({ event: 'delivered', number: 2 }, { thread }), undefined);
    const [first, second] = server.mails.map(({ headers }) => headers);
    assert.match(first?.['message-id'] ?? '', /^<landfall\.[0-9a-f]{32}\.1@example\.org>$/);
    assert.deepEqual([first?.references, first?.['in-reply-to']], [undefined, undefined]);
    assert.deepEqual([second?.references, second?.['in-reply-to']], [first?.['message-id'], first?.['message-id']]);
    assert.notEqual(second?.['message-id'], first?.['message-id']);
  });

  it('is the same message when it is sent again', async () => {
    await start();
    await send();
    await send();
    const [first, again] = server.mails.map(({ headers }) => [headers['message-id'], headers.date]);
    assert.deepEqual(first, again);
  });

  it('has no header and no markup of anybody else', async () => {
    await start();
    await send({ service: hostile, stage: hostile, reason: hostile, actor: hostile, proposal: 'javascript:alert(1)' });
    const [mail] = server.mails;
    assert.deepEqual(mail?.to, ['team@example.test']);
    assert.equal(mail.headers.bcc, undefined);
    const text = mail.raw.replace(/=\r\n/g, '');
    assert.doesNotMatch(text, /<script|href=3D"javascript|href="javascript/);
    assert.doesNotMatch(text, /^Bcc:/m);
  });

  it('refuses addresses with a line break', async () => {
    await start();
    await assert.rejects(send({}, { to: ['a@example.test\r\nBcc: b@example.test'] }), refused(/control character/));
    await assert.rejects(send({}, { from: 'x@example.test\nSubject: y' }), refused(/control character/));
    assert.equal(server.mails.length, 0);
  });

  it('logs in over STARTTLS, and over TLS from the first byte', async () => {
    const login = { user: 'ann@example.org', password: 'p@ss:w/rd%' };
    const encoded = `${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}`;
    await start(login);
    await send({}, { url: `smtp://${encoded}@localhost:${server.port}` });
    assert.deepEqual([server.mails[0]?.user, server.mails[0]?.secure], ['ann@example.org', true]);
    await server.stop();
    await start({ ...login, implicitTls: true });
    await send({}, { url: `smtps://${encoded}@localhost:${server.port}` });
    assert.deepEqual([server.mails[0]?.user, server.mails[0]?.secure], ['ann@example.org', true]);
  });

  it('never says a password to a server without TLS', async () => {
    await start({ user: 'ann', password: 'hidden', withoutTls: true });
    const error = await errorOf(send({}, { url: `smtp://ann:hidden@localhost:${server.port}` }));
    assert.match(String(error), /mail server of env:SMTP_URL failed: .*ETLS/);
    assert.doesNotMatch(shownBy(error), /hidden/);
    assert.equal(server.mails.length, 0);
  });

  it('sends without TLS only where there is neither a password nor an offer', async () => {
    await start({ withoutTls: true });
    await send();
    assert.equal(server.mails[0]?.secure, false);
  });

  it('does not trust a certificate that nobody signed', async () => {
    await start();
    await assert.rejects(send({}, { trusted: false }), passing(/mail server of env:SMTP_URL failed: /));
    assert.equal(server.mails.length, 0);
  });

  it('is refused with wrong credentials, and does not say them, not even where the server does', async () => {
    await start({ user: 'ann', password: 'right' });
    const error = await errorOf(send({}, { url: `smtp://ann:hidden@localhost:${server.port}` }));
    refused(/535 EAUTH: renew user and password/, 'CredentialsRefused')(error);
    assert.doesNotMatch(shownBy(error), /hidden/);
  });

  it('is tried again after a 4xx, and goes through', async () => {
    await start();
    for (const where of ['from', 'to', 'data'] as const) {
      server.failNext(451, where);
      await assert.rejects(send(), passing(/failed: 451/));
    }
    await send();
    assert.equal(server.mails.length, 1);
  });

  it('takes a 5xx for a no', async () => {
    await start();
    for (const where of ['from', 'to', 'data'] as const) {
      server.failNext(550, where);
      await assert.rejects(send(), refused(/failed: 550 .*this is how it is: correct sender, receivers or server/));
    }
  });

  it('is sent to whoever the server takes, once, and tells of the rest', async () => {
    await start();
    server.failNext(550, 'to');
    const warnings: string[] = [];
    await send({}, { to: ['gone@example.test', 'here@example.test'], warn: (message) => void warnings.push(message) });
    assert.deepEqual(server.mails[0]?.to, ['here@example.test']);
    assert.match(warnings.join(), /mail server of env:SMTP_URL refused gone@\u200bexample\.test, and took the rest/);
  });

  it('is tried again while the server is away', async () => {
    await start();
    const port = await reservePort();
    const error = await errorOf(send({}, { url: `smtp://ann:hidden@localhost:${port}` }));
    passing(/mail server of env:SMTP_URL failed: \w+/)(error);
    assert.doesNotMatch(shownBy(error), /hidden/);
  });

  it('refuses an address of another kind, without saying it', async () => {
    await start();
    for (const url of ['https://hidden', 'hidden', 'smtp://']) {
      const error = await errorOf(send({}, { url }));
      refused(/expected the mail server of env:SMTP_URL as smtp:\/\//)(error);
      assert.doesNotMatch(shownBy(error), /hidden/);
    }
  });
});
