import assert from 'node:assert/strict';
import type { Notice } from '../../src/domain/notice.ts';
import { noticeEvents } from '../../src/domain/plan.ts';
import { createDiscord } from '../../src/notifiers/discord/notifier.ts';
import type { MessageIds } from '../../src/notifiers/notifier.ts';
import { type Discord, problemsOf, startDiscord } from '../support/discord-server.ts';
import { errorOf, hostile, limited, noticeOf, passing, refused, shownBy } from '../support/notices.ts';

describe('Discord', () => {
  let discord: Discord;
  beforeEach(async () => {
    discord = await startDiscord();
  });
  afterEach(() => discord.stop());

  const send = (notice: Partial<Notice> = {}, thread?: MessageIds, webhook = discord.webhook) =>
    createDiscord({ secrets: () => webhook }).send({
      target: { url: 'env:DISCORD_URL' },
      notice: noticeOf(notice),
      ...(thread !== undefined && { thread }),
      signal: new AbortController().signal,
    });

  it('shows service, status and image as everybody knows it', async () => {
    await send({ event: 'delivered', service: 'match-list-processor' });
    const [message] = discord.messages;
    assert.equal(message?.content, '🚀 Image Update: **match-list-processor**');
    const [embed] = message?.embeds ?? [];
    assert.equal(embed?.title, 'Deployment Status: delivered');
    assert.equal(embed?.color, 3066993);
    assert.deepEqual(embed?.fields?.slice(0, 3), [
      { name: 'Service', value: 'match-list-processor', inline: true },
      { name: 'Status', value: 'delivered', inline: true },
      { name: 'Image', value: '`registry.example.test/team/web:latest`', inline: false },
    ]);
  });

  it('shows a failure in red', async () => {
    await send({ event: 'rolled-back' });
    assert.equal(discord.messages[0]?.embeds[0]?.color, 15158332);
  });

  it('keeps one message for a rollout, and edits it', async () => {
    const thread = await send({ event: 'deploying' });
    assert.deepEqual(await send({ event: 'delivered', number: 2 }, thread), undefined);
    assert.deepEqual(
      discord.messages.map(({ edits, embeds }) => [edits, embeds[0]?.title]),
      [[1, 'Deployment Status: delivered']],
    );
  });

  it('says what calls a person in a new message, as nobody is told of an edit, and brings all of them to their end', async () => {
    const first = await send({ event: 'proposed' });
    const log = 'listening on 8080\nlost my database ```\n';
    const called = await send({ event: 'blocked', reason: 'deploy: exit code 1', log, number: 2 }, first);
    assert.equal(called?.message, first?.message);
    assert.equal(discord.messages.length, 2);
    const [, call] = discord.messages;
    assert.match(call?.embeds[0]?.description ?? '', /```\nlistening on 8080\nlost my database '''\n```$/);
    const again = await send({ event: 'approval', number: 3 }, called);
    assert.equal(await send({ event: 'delivered', number: 4 }, again), undefined);
    assert.deepEqual(
      discord.messages.map(({ embeds }) => embeds[0]?.title),
      Array(3).fill('Deployment Status: delivered'),
    );
    const calls = discord.requests.filter(({ method }) => method === 'POST');
    assert.equal(calls.length, 3);
  });

  it('begins another message where somebody deleted the first', async () => {
    const thread = await send({ event: 'deploying' });
    discord.messages.length = 0;
    const found = await send({ event: 'delivered' }, thread);
    assert.equal(found?.message, discord.messages[0]?.id);
    assert.notEqual(found?.message, thread?.message);
  });

  it('posts into the thread that the address names', async () => {
    const thread = await send({}, undefined, `${discord.webhook}?thread_id=42`);
    await send({ number: 2 }, thread, `${discord.webhook}/?thread_id=42`);
    const [post, patch] = discord.requests.map(({ path }) => path);
    assert.match(post ?? '', /the-token\?thread_id=42&wait=true$/);
    assert.match(patch ?? '', /the-token\/messages\/\d+\?thread_id=42$/);
  });

  it('stays within every limit, and calls nobody, whatever the text is', async () => {
    for (const text of [hostile, '*'.repeat(5_000)]) {
      await send({
        event: 'failed',
        service: text,
        stage: text,
        reason: text,
        advice: text,
        actor: text,
        sourceRepository: text,
        commit: text,
      });
    }
    for (const event of noticeEvents) {
      await send({
        event,
        service: hostile,
        stage: hostile,
        reason: hostile,
        advice: hostile,
        actor: hostile,
        sourceRepository: hostile,
      });
    }
    assert.equal(discord.messages.length, noticeEvents.length + 2);
    for (const { text } of discord.requests) {
      assert.deepEqual(problemsOf(JSON.parse(text)), []);
      assert.deepEqual((JSON.parse(text) as { allowed_mentions: unknown }).allowed_mentions, { parse: [] });
      assert.doesNotMatch(text, /@everyone|[^\\]\[click|[^\\]<!channel/);
    }
  });

  it('takes a webhook that is gone for a no, and does not say its address', async () => {
    const thread = await send();
    discord.removeWebhook();
    for (const attempt of [send(), send({}, thread)]) {
      const error = await errorOf(attempt);
      refused(/Discord webhook of env:DISCORD_URL answered 404 \(code 10015\): it does not exist any more/)(error);
      assert.doesNotMatch(shownBy(error), /the-token/);
    }
    assert.deepEqual(
      discord.requests.map(({ method }) => method),
      ['POST', 'POST', 'PATCH'],
    );
  });

  it('waits as long as Discord says, by its header or by its body', async () => {
    const body = { message: 'You are being rate limited.', retry_after: 7.5, global: false };
    discord.failNext({ status: 429, headers: { 'retry-after': '20' }, body: JSON.stringify(body) });
    await assert.rejects(send(), limited(18, 21));
    discord.failNext({ status: 429, body: JSON.stringify(body) });
    await assert.rejects(send(), limited(6, 8));
  });

  it('is tried again after an error of the server, a cut answer, a page instead of JSON, and silence', async () => {
    discord.failNext({ status: 502, body: '<html>bad gateway</html>' });
    await assert.rejects(send(), passing(/answered 502/));
    for (const cut of ['before', 'within'] as const) {
      discord.failNext({ cut });
      await assert.rejects(send(), passing(/failed: \w+/));
    }
    discord.failNext({ status: 200, body: '<html>maintenance</html>' });
    await assert.rejects(send(), passing(/answered 200, and not with what it documents/));
    await discord.away();
    const error = await errorOf(send());
    passing(/Discord webhook of env:DISCORD_URL failed: ECONNREFUSED/)(error);
    assert.doesNotMatch(shownBy(error), /the-token/);
    await discord.back();
    await send();
    assert.equal(discord.messages.length, 1);
  });

  it('follows no redirect', async () => {
    discord.failNext({ status: 308, headers: { location: `${discord.webhook}/elsewhere` } });
    await assert.rejects(send(), refused(/a redirect, which is not followed/));
    assert.equal(discord.requests.length, 1);
  });

  it('refuses an address that is none, without saying it', async () => {
    for (const address of ['hidden', 'ftp://hidden/', 'https://']) {
      const error = await errorOf(send({}, undefined, address));
      refused(/expected the Discord webhook of env:DISCORD_URL to be an http\(s\) address/)(error);
      assert.doesNotMatch(shownBy(error), /hidden/);
    }
  });

  it('ends at once when it is cancelled', async () => {
    const reason = new Error('cancelled');
    const notifier = createDiscord({ secrets: () => discord.webhook });
    const target = { url: 'env:DISCORD_URL' };
    await assert.rejects(notifier.send({ target, notice: noticeOf(), signal: AbortSignal.abort(reason) }), reason);
    assert.equal(discord.messages.length, 0);
  });
});
