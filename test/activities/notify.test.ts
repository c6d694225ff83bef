import assert from 'node:assert/strict';
import { Client } from '@temporalio/client';
import { createNotify } from '../../src/activities/notify.ts';
import type { SendInput } from '../../src/contracts/activities/people.ts';
import { Refusal } from '../../src/domain/failures.ts';
import { failureOf, runActivity } from '../support/activity.ts';
import { type Discord, startDiscord } from '../support/discord-server.ts';
import { noticeOf, shownBy } from '../support/notices.ts';
import { makeNotifiers, notifierOf } from '../support/notifiers.ts';

describe('sending a notice', () => {
  let discord: Discord;
  beforeEach(async () => {
    discord = await startDiscord();
  });
  afterEach(() => discord.stop());

  const secrets = (reference: string): string => {
    if (reference === 'env:DISCORD_URL') return discord.webhook;
    throw new Refusal('SecretMissing', `expected a secret in ${reference}`);
  };
  const clientFor = async (): Promise<never> => {
    throw new Refusal('ForgeRefused', 'GitHub is not configured');
  };
  const send = async (input: Partial<SendInput> = {}) => {
    const notifiers = await makeNotifiers({ secrets, clientFor });
    return await runActivity(createNotify({ client: new Client(), notifiers }).sendNotice, {
      notifier: notifierOf('discord', 'env:DISCORD_URL'),
      notice: noticeOf(),
      ...input,
    });
  };

  it('answers by what later notices find the message', async () => {
    assert.deepEqual(await send(), { kind: 'sent', thread: { message: discord.messages[0]?.id } });
    const thread = { message: discord.messages[0]?.id ?? '' };
    assert.deepEqual(await send({ thread }), { kind: 'sent' });
    assert.equal(discord.messages.length, 1);
  });

  it('answers a rate limit with the time until which to wait', async () => {
    discord.failNext({ status: 429, headers: { 'retry-after': '30' } });
    const outcome = await send();
    assert.ok(outcome.kind === 'rate-limited');
    const seconds = (Date.parse(outcome.until) - Date.now()) / 1000;
    assert.ok(seconds > 27 && seconds < 31, String(seconds));
  });

  it('fails for good where the target will never take it, and shows no secret', async () => {
    discord.removeWebhook();
    const failure = await failureOf(send());
    assert.deepEqual([failure.type, failure.nonRetryable], ['NoticeRefused', true]);
    assert.doesNotMatch(shownBy(failure), /the-token/);
  });

  it('fails for good where a secret or GitHub is not configured', async () => {
    const notifier = notifierOf('webhook', { url: 'env:NOPE', secret: 'env:NOPE' });
    assert.equal((await failureOf(send({ notifier }))).type, 'SecretMissing');
    const github = notifierOf('github', { repository: 'team/web' });
    const notice = noticeOf({ event: 'deploying', stage: 'production', commit: 'c0ffee1' });
    assert.equal((await failureOf(send({ notifier: github, notice }))).type, 'ForgeRefused');
  });
});
