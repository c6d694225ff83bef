import assert from 'node:assert/strict';
import type { Notice } from '../../src/domain/notice.ts';
import { createWebhook } from '../../src/notifiers/webhook/notifier.ts';
import { errorOf, hostile, limited, noticeOf, passing, refused, shownBy } from '../support/notices.ts';
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-server.ts';

describe('a signed webhook', () => {
  let receiver: WebhookReceiver;
  beforeEach(async () => {
    receiver = await startWebhookReceiver();
  });
  afterEach(() => receiver.stop());

  const send = (notice: Partial<Notice> = {}, key = receiver.key, address = receiver.address) =>
    createWebhook({ secrets: (reference) => (reference === 'env:KEY' ? key : address) }).send({
      target: { url: 'env:HOOK', secret: 'env:KEY' },
      notice: noticeOf(notice),
      signal: new AbortController().signal,
    });

  it('is the notice as JSON, with event and delivery in the headers', async () => {
    const notice = noticeOf({ event: 'blocked', number: 3, reason: hostile });
    await send(notice);
    assert.deepEqual(receiver.taken, [
      { delivery: `${notice.runId}-3`, event: 'blocked', body: JSON.parse(JSON.stringify(notice)) },
    ]);
  });

  it('is the same delivery when it is sent again', async () => {
    receiver.failNext({ status: 502, afterwards: true });
    await assert.rejects(send(), passing(/webhook of env:HOOK answered 502/));
    await send();
    assert.equal(receiver.requests.length, 2);
    assert.equal(receiver.taken.length, 1);
  });

  it('is refused where the key is another one, and says so', async () => {
    await assert.rejects(send({}, 'another'), refused(/webhook of env:HOOK answered 401: it does not let us in/));
    assert.equal(receiver.taken.length, 0);
  });

  it('is never signed with an empty key', async () => {
    await assert.rejects(send({}, ''), refused(/found an empty one/, 'SecretMissing'));
    assert.equal(receiver.requests.length, 0);
  });

  it('is not sent without TLS where the secret turns out to be such an address, which is not shown', async () => {
    const error = await errorOf(send({}, receiver.key, 'http://hooks.example.test/hidden'));
    refused(/webhook of env:HOOK to begin with https:\/\/, found http:\/\/: .*plainHttp: true/)(error);
    assert.doesNotMatch(shownBy(error), /hidden|example\.test/);
  });

  it('has user and password of the address in a header, and in no error', async () => {
    const address = receiver.address.replace('http://', 'http://ann:pa%40ss@');
    await send({}, receiver.key, address);
    const basic = `Basic ${Buffer.from('ann:pa@ss').toString('base64')}`;
    assert.equal(receiver.requests[0]?.headers.authorization, basic);
    await receiver.away();
    const error = await errorOf(send({}, receiver.key, address));
    passing(/failed: ECONNREFUSED/)(error);
    assert.doesNotMatch(shownBy(error), /pa%40ss|pa@ss|hidden|hooks/);
  });

  it('waits where it is limited, and takes a 404 and a 410 for a no', async () => {
    receiver.failNext({ status: 429, headers: { 'retry-after': new Date(Date.now() + 20_000).toUTCString() } });
    await assert.rejects(send(), limited(17, 21));
    for (const status of [404, 410]) {
      receiver.failNext({ status });
      await assert.rejects(send(), refused(/does not exist any more/));
    }
    receiver.failNext({ status: 409 });
    await assert.rejects(send(), passing(/answered 409/));
  });

  it('reads no endless answer', async () => {
    receiver.failNext({ status: 200, body: 'x'.repeat(200_000) });
    await assert.rejects(send(), passing(/answer of the webhook of env:HOOK is larger than 65536 bytes/));
  });
});
