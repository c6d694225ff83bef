import assert from 'node:assert/strict';
import type { Notice } from '../../src/domain/notice.ts';
import { noticeEvents } from '../../src/domain/plan.ts';
import type { MessageIds } from '../../src/notifiers/notifier.ts';
import { createSlack, type SlackTarget } from '../../src/notifiers/slack/notifier.ts';
import { errorOf, hostile, limited, noticeOf, passing, refused, shownBy } from '../support/notices.ts';
import { type Slack, startSlack } from '../support/slack-server.ts';

describe('Slack', () => {
  let slack: Slack;
  beforeEach(async () => {
    slack = await startSlack();
  });
  afterEach(() => slack.stop());

  const sendTo = (target: SlackTarget, secret: string, notice: Partial<Notice>, thread?: MessageIds) =>
    createSlack({ secrets: () => secret }).send({
      target,
      notice: noticeOf(notice),
      ...(thread !== undefined && { thread }),
      signal: new AbortController().signal,
    });
  const byWebhook = (notice: Partial<Notice> = {}) => sendTo({ url: 'env:SLACK_URL' }, slack.webhook, notice);
  const byBot = (notice: Partial<Notice> = {}, thread?: MessageIds, secret = slack.token) =>
    sendTo({ token: 'env:SLACK_TOKEN', channel: '#deployments', api: slack.api }, secret, notice, thread);
  const channel = () => slack.messages.filter(({ threadTs }) => threadTs === undefined);

  const everything = {
    service: hostile,
    stage: hostile,
    reason: hostile,
    advice: hostile,
    actor: hostile,
    sourceRepository: hostile,
  };

  describe('by an incoming webhook', () => {
    it('adds a message for each notice', async () => {
      assert.equal(await byWebhook({ event: 'deploying', stage: 'production' }), undefined);
      await byWebhook({ event: 'delivered', number: 2 });
      assert.equal(slack.messages.length, 2);
      assert.equal(slack.messages[1]?.text, 'web: the new image is delivered');
      assert.equal(slack.messages[1]?.blocks[0]?.text?.text, '✅ web: the new image is delivered');
    });

    it('stays within the limits of Block Kit, and calls nobody, whatever the text is', async () => {
      for (const event of noticeEvents)
        await byWebhook({ event, ...everything, proposal: 'https://github.com/a/b/pull/1?a=1&b=2' });
      assert.equal(slack.messages.length, noticeEvents.length);
      const sent = slack.requests.map(({ text }) => text).join('\n');
      assert.doesNotMatch(sent, /<!|<@|<#|<script|@everyone|@here/);
      assert.match(sent, /&lt;!channel&gt;/);
    });

    it('takes a webhook that is gone for a no, and does not say its address', async () => {
      slack.removeWebhook();
      const error = await errorOf(byWebhook());
      refused(/Slack webhook of env:SLACK_URL answered 404 \(no_service\): it does not exist any more/)(error);
      assert.doesNotMatch(shownBy(error), /the-secret-part/);
    });

    it('does not repeat what a server says that is no code: it may be the address', async () => {
      slack.failNext({ status: 404, body: 'Cannot POST /services/T00000000/B00000000/the-secret-part' });
      assert.doesNotMatch(shownBy(await errorOf(byWebhook())), /the-secret-part/);
    });

    it('waits where it is limited, and is tried again after an error', async () => {
      slack.failNext({ status: 429, headers: { 'retry-after': '30' }, body: 'rate_limited' });
      await assert.rejects(byWebhook(), limited(28, 31));
      slack.failNext({ status: 500, body: 'rollup_error' });
      await assert.rejects(byWebhook(), passing(/answered 500 \(rollup_error\)/));
      slack.failNext({ cut: 'before' });
      await assert.rejects(byWebhook(), passing(/failed: /));
      await slack.away();
      await assert.rejects(byWebhook(), passing(/ECONNREFUSED/));
    });
  });

  describe('by a bot', () => {
    it('keeps one message for a rollout and brings it up to date', async () => {
      const thread = await byBot({ event: 'deploying' });
      assert.deepEqual(thread, { channel: 'C024BE91L', ts: slack.messages[0]?.ts });
      await byBot({ event: 'delivered', number: 2 }, thread);
      assert.deepEqual(
        slack.messages.map(({ text, edits }) => [text, edits]),
        [['web: the new image is delivered', 1]],
      );
    });

    it('replies in the thread, and shows it in the channel, where somebody has to look', async () => {
      const thread = await byBot({ event: 'deploying' });
      await byBot({ event: 'blocked', reason: 'deploy: exit code 1', number: 2 }, thread);
      const [first, reply] = slack.messages;
      assert.equal(first?.text, 'web: the rollout is blocked – deploy: exit code 1');
      assert.deepEqual([reply?.threadTs, reply?.broadcast, reply?.text], [first?.ts, true, first?.text]);
    });

    it('brings the reply to its end, too: it asks for nothing that is done', async () => {
      const thread = await byBot({ event: 'deploying' });
      const called = await byBot({ event: 'blocked', number: 2 }, thread);
      await byBot({ event: 'aborted', number: 3 }, called);
      assert.deepEqual(
        slack.messages.map(({ text }) => text),
        Array(2).fill('web: the rollout is aborted'),
      );
    });

    it('begins another message where the first is gone', async () => {
      const thread = await byBot({ event: 'deploying' });
      slack.messages.length = 0;
      const found = await byBot({ event: 'delivered' }, thread);
      assert.equal(channel().length, 1);
      assert.equal(found?.ts, channel()[0]?.ts);
    });

    it('stays within the limits, whatever the text is', async () => {
      const thread = await byBot({ event: 'deploying', ...everything });
      await byBot({ event: 'failed', ...everything }, thread);
      assert.equal(slack.messages.length, 2);
    });

    it('tells a no from what passes by the error code', async () => {
      for (const [code, advice] of [
        ['is_archived', /invite the bot/],
        ['token_revoked', /renew the bot token/],
        ['missing_scope', /chat:write/],
        ['invalid_blocks', /does not take/],
      ] as const) {
        slack.refuseNext(code);
        await assert.rejects(byBot(), refused(advice));
      }
      for (const code of ['internal_error', 'service_unavailable']) {
        slack.refuseNext(code);
        await assert.rejects(byBot(), passing(new RegExp(code)));
      }
      slack.refuseNext('ratelimited');
      await assert.rejects(byBot(), limited(50, 61));
      slack.failNext({
        status: 429,
        headers: { 'retry-after': '10' },
        body: JSON.stringify({ ok: false, error: 'ratelimited' }),
      });
      await assert.rejects(byBot(), limited(8, 11));
    });

    it('is tried again after a page instead of JSON', async () => {
      slack.failNext({ status: 200, body: '<html>' });
      await assert.rejects(byBot(), passing(/not with what it documents/));
    });

    it('does not say its token, whatever is wrong with it', async () => {
      for (const wrong of ['xoxb-wrong', 'xoxb-wrong\nwith a line', '']) {
        const error = await errorOf(byBot({}, undefined, wrong));
        refused(/token of env:SLACK_TOKEN/)(error);
        assert.doesNotMatch(shownBy(error), /xoxb/);
      }
    });
  });
});
