import assert from 'node:assert/strict';
import {
  addNotice,
  endsStory,
  isAllTold,
  nextNotice,
  noQueues,
  settleNotice,
  type TargetQueue,
  targetKey,
  threadFor,
} from '../../src/domain/notice-queue.ts';
import type { NotifierPlan } from '../../src/domain/plan.ts';
import { noticeOf } from '../support/notices.ts';
import { notifierOf } from '../support/notifiers.ts';

const webhook = notifierOf('webhook', { url: 'env:HOOK', secret: 'env:KEY' }, ['delivered']);
const discord = notifierOf('discord', 'env:DISCORD', ['delivered']);

describe('the queues of notices', () => {
  const queues = noQueues;
  const queueOf = (all: ReturnType<typeof noQueues>, notifier: NotifierPlan): TargetQueue => {
    const queue = all.targets[targetKey(notifier)];
    assert.ok(queue);
    return queue;
  };

  it('tell a notice that comes twice once', () => {
    const all = queues();
    assert.deepEqual(addNotice(all, noticeOf(), [webhook], 0), [targetKey(webhook)]);
    assert.deepEqual(addNotice(all, noticeOf(), [webhook], 0), []);
    assert.equal(queueOf(all, webhook).waiting.length, 1);
  });

  it('tell a target in order, one after the other', () => {
    const all = queues();
    for (const number of [1, 2, 3]) addNotice(all, noticeOf({ number, event: 'deploying' }), [webhook], 0);
    const told: number[] = [];
    const queue = queueOf(all, webhook);
    for (let next = nextNotice(queue); next !== undefined; next = nextNotice(queue)) {
      told.push(next.notice.number);
      settleNotice(queue, next);
    }
    assert.deepEqual(told, [1, 2, 3]);
    assert.ok(isAllTold(all));
  });

  it('tell only the newest where the target shows one message that is brought up to date', () => {
    const all = queues();
    for (const number of [1, 2, 3]) addNotice(all, noticeOf({ number, event: 'deploying' }), [discord, webhook], 0);
    assert.equal(nextNotice(queueOf(all, discord))?.notice.number, 3);
    assert.equal(nextNotice(queueOf(all, webhook))?.notice.number, 1);
  });

  it('put in order what was handed over side by side', () => {
    const all = queues();
    for (const number of [2, 4, 1, 3]) addNotice(all, noticeOf({ number, event: 'deploying' }), [webhook, discord], 0);
    assert.deepEqual(
      queueOf(all, webhook).waiting.map(({ notice }) => notice.number),
      [1, 2, 3, 4],
    );
    assert.equal(nextNotice(queueOf(all, discord))?.notice.number, 4);
  });

  it('never show the older after the newer where both have the same place', () => {
    const github = notifierOf('github', true);
    const all = queues();
    const targets = [discord, github, webhook];
    addNotice(all, noticeOf({ number: 3, event: 'healthy', stage: 'production' }), targets, 0);
    for (const target of targets) {
      const queue = queueOf(all, target);
      const next = nextNotice(queue);
      assert.ok(next);
      settleNotice(queue, next);
    }
    addNotice(all, noticeOf({ number: 1, event: 'healthy', stage: 'staging' }), targets, 0);
    addNotice(all, noticeOf({ number: 2, event: 'deploying', stage: 'production' }), targets, 0);
    const numbers = targets.map((target) => {
      const queue = queueOf(all, target);
      const told: number[] = [];
      for (let next = nextNotice(queue); next !== undefined; next = nextNotice(queue)) {
        told.push(next.notice.number);
        queue.waiting.shift();
      }
      return told;
    });
    assert.deepEqual(numbers, [[], [1], [1, 2]]);
  });

  it('keep the thread of a story, and begin another when the rollout runs again after its end', () => {
    const all = queues();
    addNotice(all, noticeOf({ number: 1, event: 'proposed', stage: 'production' }), [discord], 0);
    const queue = queueOf(all, discord);
    const first = nextNotice(queue);
    assert.ok(first);
    settleNotice(queue, first, { message: '1' });
    addNotice(all, noticeOf({ number: 2, event: 'delivered' }), [discord], 0);
    const second = nextNotice(queue);
    assert.ok(second);
    assert.deepEqual(threadFor(queue, second), { message: '1' });
    addNotice(all, noticeOf({ number: 1, runId: 'another', event: 'unchanged' }), [discord], 0);
    assert.equal(nextNotice(queue)?.notice.event, 'delivered', 'the end of one story is not overtaken by another');
    settleNotice(queue, second);
    const third = nextNotice(queue);
    assert.ok(third);
    assert.equal(threadFor(queue, third), undefined);
  });

  it('know the end of a story from what is on the way', () => {
    assert.equal(endsStory(noticeOf({ event: 'proposed', stage: 'staging' })), false);
    assert.equal(endsStory(noticeOf({ event: 'proposed' })), true);
    assert.equal(endsStory(noticeOf({ event: 'rolled-back', stage: 'staging' })), true);
    assert.equal(endsStory(noticeOf({ event: 'healthy' })), false);
  });

  it('are JSON, so that another run can go on with them', () => {
    const all = queues();
    addNotice(all, noticeOf(), [discord], 5);
    assert.deepEqual(JSON.parse(JSON.stringify(all)), all);
  });
});
