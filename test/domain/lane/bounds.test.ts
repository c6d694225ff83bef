import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/domain/lane/bounds.ts';
import { putInQuarantine } from '../../../src/domain/lane/decisions.ts';
import { enter, leave, verified } from '../../../src/domain/lane/members.ts';
import { begin, ran } from '../../../src/domain/lane/stages.ts';
import { emptyLane } from '../../../src/domain/lane/state.ts';
import { request } from '../../../src/domain/lane/turns.ts';
import { exact, rolloutOf, runningOf, someTime } from '../../support/lane-moves.ts';
import { digestOf } from '../../support/plans.ts';

/** Three bytes a character. */
const longText = '岸'.repeat(100_000);
const longTag = (number: number): string => `main-${'9'.repeat(110)}-${number}`;

describe('what a lane hands on', () => {
  it('stays below one MiB in the worst case, and keeps what is newest', () => {
    const lane = emptyLane();
    for (let number = 0; number < 700; number += 1) {
      const one = rolloutOf(`ended ${number}`, longTag(number));
      enter(lane, one);
      verified(lane, { ...one, policy: exact });
      leave(lane, { ...one, end: 'rejected', at: someTime, reason: longText, quarantinedBy: longText });
      putInQuarantine(lane, digestOf(`named ${number}`), {
        by: longText.slice(0, 100),
        reason: longText.slice(0, 500),
        at: someTime,
      });
    }
    for (let number = 0; number < 700; number += 1) {
      const one = rolloutOf(`under way ${number}`, longTag(number));
      enter(lane, one);
      verified(lane, { ...one, policy: { kind: 'exact', tags: [] } });
    }
    for (let number = 0; number < 40; number += 1) {
      const stage = `stage-${number % 10}`;
      const one = { ...rolloutOf(`ran ${number}`, longTag(number)), stage, stages: [stage] };
      enter(lane, one);
      verified(lane, { ...one, policy: exact });
      request(lane, { ...one, policy: exact });
      const answer = begin(lane, one);
      assert.ok(answer.kind === 'go');
      const running = runningOf(one, `ran ${number}`, answer.before, new Date(Date.parse(someTime) + number).toISOString());
      const secrets = { A: 'x'.repeat(40 * 1024) };
      const checks = running.plan.checks.map((check) => ({
        ...check,
        settings: { ...check.settings, ...(check.kind === 'smoke' && { env: secrets }) },
      }));
      const plan = { ...running.plan, checks };
      ran(lane, { ...one, running: { ...running, plan } });
      leave(lane, { ...one, end: 'delivered', at: someTime });
    }
    const bytes = bytesOf(lane);
    assert.ok(bytes < 1024 * 1024, `${bytes} bytes`);
    assert.equal(bytes, Buffer.byteLength(JSON.stringify(lane)));
    assert.equal(lane.stages['stage-9']?.running?.digest, digestOf('ran 39'));
    assert.ok(Object.keys(lane.members).some((rollout) => rollout.endsWith('under way 699')));
    assert.ok(Object.keys(lane.verdicts).some((key) => key.endsWith(digestOf('ran 39'))));
    assert.ok(lane.quarantine[digestOf('named 699')] !== undefined);
  });

  it('forgets what ran long ago before it forgets what runs', () => {
    const lane = emptyLane();
    const many = Array.from({ length: 100 }, (_, index) => ({ name: `web-${index}`, reference: 'x'.repeat(400) }));
    for (let number = 0; number < 12; number += 1) {
      const one = rolloutOf(`${number}`);
      const running = runningOf(one, `${number}`, undefined, new Date(Date.parse(someTime) + number).toISOString());
      ran(lane, { ...one, running: { ...running, before: { running: many } } });
    }
    const { running, earlier = [] } = lane.stages.production ?? {};
    assert.equal(running?.digest, digestOf('11'));
    assert.ok(earlier.length > 2 && earlier.length < 10, `${earlier.length} earlier`);
    assert.equal(earlier[0]?.digest, digestOf('10'));
  });

  it('never forgets who holds a turn or waits for one', () => {
    const lane = emptyLane();
    const [holder, waiter] = [rolloutOf('holder'), rolloutOf('waiter')];
    for (const one of [holder, waiter]) {
      enter(lane, one);
      verified(lane, { ...one, policy: exact });
      request(lane, { ...one, policy: exact });
    }
    for (let number = 0; number < 700; number += 1) enter(lane, rolloutOf(`${number}`, longTag(number)));
    const members = Object.keys(lane.members);
    assert.ok(members.length < 700);
    assert.ok(members.includes(holder.rollout) && members.includes(waiter.rollout));
  });
});
