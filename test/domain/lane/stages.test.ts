import assert from 'node:assert/strict';
import { enter } from '../../../src/domain/lane/members.ts';
import { begin, ran, rolledBack } from '../../../src/domain/lane/stages.ts';
import { emptyLane, type LaneState } from '../../../src/domain/lane/state.ts';
import { release, request } from '../../../src/domain/lane/turns.ts';
import type { TagPolicy } from '../../../src/domain/tag-policy.ts';
import { come, deliver, end, exact, rolloutOf, runningOf, someTime, stage, undo } from '../../support/lane-moves.ts';
import { digestOf, planOf, stageOf } from '../../support/plans.ts';

const semver: TagPolicy = { kind: 'semver', range: '*' };

describe('the stages of a lane', () => {
  it('let the holder of the turn begin, and answer alike when it asks again', () => {
    const lane = emptyLane();
    const a = rolloutOf('a');
    const turn = come(lane, a);
    assert.ok(turn.kind === 'granted');
    assert.deepEqual(begin(lane, a), { kind: 'go', turn: turn.turn });
    assert.deepEqual(begin(lane, a), { kind: 'go', turn: turn.turn });
  });

  it('know nobody who has no turn', () => {
    const lane = emptyLane();
    const [a, b] = [rolloutOf('a'), rolloutOf('b')];
    come(lane, a);
    come(lane, b);
    assert.equal(begin(lane, b).kind, 'unknown');
    assert.equal(begin(lane, { ...a, runId: 'another run' }).kind, 'unknown');
  });

  it('supersede a holder until it begins, and never after', () => {
    const lane = emptyLane();
    const [a, b] = [rolloutOf('a'), rolloutOf('b')];
    come(lane, a);
    come(lane, b);
    assert.deepEqual(begin(lane, a), { kind: 'superseded', by: b.rollout });

    const late = emptyLane();
    come(late, a);
    begin(late, a);
    enter(late, b);
    assert.deepEqual(come(late, b), { kind: 'waiting', behind: a.rollout });
    assert.deepEqual(request(late, { ...b, policy: exact }).superseded, [], 'nobody is told');
    assert.equal(begin(late, a).kind, 'go');
    assert.equal(request(late, { ...a, policy: exact }).answer.kind, 'granted');
  });

  it('let a holder begin after all that asked again when the newer one had come to nothing', () => {
    const lane = emptyLane();
    const [a, b] = [rolloutOf('a'), rolloutOf('b')];
    come(lane, a);
    come(lane, b);
    end(lane, b, 'aborted');
    assert.equal(request(lane, { ...a, policy: exact }).answer.kind, 'granted');
    assert.equal(begin(lane, a).kind, 'go');
  });

  it('are begun anew by the next holder', () => {
    const lane = emptyLane();
    deliver(lane, 'a');
    const [b, c] = [rolloutOf('b'), rolloutOf('c')];
    come(lane, b);
    come(lane, c);
    assert.deepEqual(begin(lane, b), { kind: 'superseded', by: c.rollout });
  });

  it('wait while the windows are closed or the line is stopped, but not once begun', () => {
    const lane = emptyLane();
    const a = rolloutOf('a');
    come(lane, a);
    const shut = { reason: 'no deploys on Friday', until: '2026-01-05T08:00:00.000Z' };
    assert.deepEqual(begin(lane, a, shut), { kind: 'wait', ...shut });
    assert.equal(begin(lane, a).kind, 'go');
    assert.equal(begin(lane, a, shut).kind, 'go');
  });

  it('remember what they run and ran, and tell whoever begins what it replaces', () => {
    const lane = emptyLane();
    deliver(lane, 'a', 'latest', '2026-01-01T00:00:00.000Z');
    deliver(lane, 'b', 'latest', '2026-01-02T00:00:00.000Z');
    const c = rolloutOf('c');
    come(lane, c);
    const answer = begin(lane, c);
    assert.ok(answer.kind === 'go');
    assert.equal(answer.before?.digest, digestOf('b'));
    const { running, earlier } = lane.stages[stage] ?? {};
    assert.equal(running?.digest, digestOf('b'));
    assert.deepEqual(
      earlier?.map(({ digest, since, until }) => [digest, since, until]),
      [[digestOf('a'), '2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z']],
    );
    assert.ok(!('plan' in (earlier?.[0] ?? {})), 'plans are kept of what runs only');
  });

  it('keep the plan of one stage only', () => {
    const lane = emptyLane();
    const a = rolloutOf('a');
    come(lane, a);
    const plan = planOf({ stages: [stageOf('staging'), stageOf(stage)] });
    ran(lane, { ...a, running: { ...runningOf(a, 'a'), plan } });
    assert.deepEqual(
      lane.stages[stage]?.running?.plan.stages.map(({ name }) => name),
      [stage],
    );
  });

  it('remember at most ten earlier images', () => {
    const lane = emptyLane();
    for (let number = 0; number < 15; number += 1) deliver(lane, `${number}`);
    const earlier = lane.stages[stage]?.earlier ?? [];
    assert.deepEqual(
      earlier.map(({ digest }) => digest),
      [13, 12, 11, 10, 9, 8, 7, 6, 5, 4].map((number) => digestOf(`${number}`)),
    );
  });

  it('take it for the same when the same is said again', () => {
    const lane = emptyLane();
    deliver(lane, 'a');
    const b = rolloutOf('b');
    come(lane, b);
    begin(lane, b);
    const telling = { ...b, running: runningOf(b, 'b', runningOf(rolloutOf('a'), 'a')) };
    ran(lane, telling);
    const once = structuredClone(lane);
    ran(lane, telling);
    assert.deepEqual(lane, once);
  });

  it('go back beyond a digest that was brought there twice', () => {
    const lane = emptyLane();
    deliver(lane, 'a');
    const first = deliver(lane, 'b');
    const again = { ...first, runId: 'second run', manual: true };
    come(lane, again);
    const answer = begin(lane, again);
    assert.ok(answer.kind === 'go');
    assert.equal(answer.before?.digest, digestOf('a'));
    const running = runningOf(again, 'b', answer.before);
    ran(lane, { ...again, running: { ...running, before: { ...running.before, running: [{ name: 'web', reference: 'b' }] } } });
    assert.match(lane.stages[stage]?.running?.before.running[0]?.reference ?? '', new RegExp(digestOf('a')));
    undo(lane, again);
    assert.equal(lane.stages[stage]?.running?.digest, digestOf('a'));
  });

  it('know what was merged for a digest also after it was deployed once more', () => {
    const lane = emptyLane();
    const one = { ...rolloutOf('a') };
    come(lane, one);
    const proposal = {
      kind: 'branch' as const,
      url: 'https://forge.example.test/1',
      branch: 'landfall/web',
      base: 'main',
      head: 'a'.repeat(40),
    };
    ran(lane, { ...one, running: { ...runningOf(one, 'a'), proposal, commit: 'c'.repeat(40) } });
    ran(lane, { ...one, running: runningOf(one, 'a') });
    assert.deepEqual(lane.stages[stage]?.running?.proposal, proposal);
    assert.equal(lane.stages[stage]?.running?.commit, 'c'.repeat(40));
  });

  it('believe no earlier run, and nobody who tells of a stage that another one works in', () => {
    const lane = emptyLane();
    const [a, b] = [rolloutOf('a'), rolloutOf('b')];
    come(lane, a);
    ran(lane, { ...a, runId: 'earlier', running: runningOf(a, 'a') });
    ran(lane, { ...b, running: runningOf(b, 'b') });
    assert.equal(lane.stages[stage]?.running, undefined);
  });

  it('believe who worked there when the lane lost its memory', () => {
    const lane = emptyLane();
    const a = rolloutOf('a');
    ran(lane, { ...a, running: runningOf(a, 'a') });
    assert.equal(lane.stages[stage]?.running?.digest, digestOf('a'));
  });

  describe('that were rolled back', () => {
    function unhealthy(): LaneState {
      const lane = emptyLane();
      deliver(lane, 'good');
      const bad = rolloutOf('bad');
      come(lane, bad);
      const answer = begin(lane, bad);
      assert.ok(answer.kind === 'go');
      ran(lane, { ...bad, running: runningOf(bad, 'bad', answer.before) });
      undo(lane, bad);
      undo(lane, bad);
      end(lane, bad, 'rolled-back');
      return lane;
    }

    it('run what they ran before, with all that it takes to undo that as well', () => {
      const { running, earlier, current, latest: asked } = unhealthy().stages[stage] ?? {};
      assert.equal(running?.digest, digestOf('good'));
      assert.equal(running?.rollout, rolloutOf('good').rollout);
      assert.equal(running?.plan.stages[0]?.name, stage);
      assert.deepEqual(earlier, []);
      assert.equal(current?.digest, digestOf('good'));
      assert.deepEqual(asked, current);
    });

    it('take the bad digest no more, and find the good one there already', () => {
      const lane = unhealthy();
      assert.equal(enter(lane, { ...rolloutOf('bad'), runId: 'second', manual: true }).answer.kind, 'quarantined');
      assert.equal(come(lane, { ...rolloutOf('good'), runId: 'second' }).kind, 'unchanged');
    });

    it('take the next image, also one that the bad one came before by its version', () => {
      const lane = emptyLane();
      deliver(lane, 'good', '1.0.0');
      const bad = rolloutOf('bad', '2.0.0');
      come(lane, bad, semver);
      const answer = begin(lane, bad);
      assert.ok(answer.kind === 'go');
      ran(lane, { ...bad, running: runningOf(bad, 'bad', answer.before) });
      undo(lane, bad);
      end(lane, bad, 'rolled-back');
      assert.equal(come(lane, rolloutOf('patch', '1.0.1'), semver).kind, 'granted');
      assert.equal(come(emptyLaneAfter(lane), rolloutOf('older', '0.9.0'), semver).kind, 'superseded');
    });

    it('quarantine what was pushed with the index that it is part of', () => {
      const lane = emptyLane();
      const child = rolloutOf('child');
      come(lane, child);
      const at = { rollout: child.rollout, runId: child.runId, stage, reason: 'no', by: 'landfall', at: someTime };
      rolledBack(lane, { ...at, digest: digestOf('index') });
      assert.deepEqual(Object.keys(lane.quarantine).sort(), [digestOf('child'), digestOf('index')].sort());
    });

    it('run what nobody knows where nothing was before', () => {
      const lane = emptyLane();
      const first = deliver(lane, 'first');
      undo(lane, { ...first, runId: 'a run that the lane forgot' });
      assert.equal(lane.stages[stage]?.running, undefined);
      assert.equal(lane.stages[stage]?.current, undefined);
    });
  });

  describe('that an operator rolls back', () => {
    const back = { ...rolloutOf('back'), rollout: 'rollback:web:production:1' };
    const asking = (word: string) => ({ ...back, policy: exact, rollback: { tag: back.tag, digest: digestOf(word) } });

    it('go before everybody who has not begun', () => {
      const lane = emptyLane();
      deliver(lane, 'a');
      deliver(lane, 'b');
      const [c, d] = [rolloutOf('c'), rolloutOf('d', 'other')];
      come(lane, c);
      come(lane, d);
      const { answer, superseded } = request(lane, asking('b'));
      assert.deepEqual(answer, { kind: 'waiting', behind: c.rollout });
      assert.deepEqual([...superseded].sort(), [c.rollout, d.rollout].sort());
      assert.deepEqual(lane.stages[stage]?.waiters, [back.rollout, d.rollout]);
      assert.deepEqual(begin(lane, c), { kind: 'superseded', by: back.rollout });
      assert.deepEqual(request(lane, { ...d, policy: exact }).answer, { kind: 'superseded', by: back.rollout });
      assert.deepEqual(end(lane, c, 'superseded'), [back.rollout]);
      end(lane, d, 'superseded');
      assert.equal(enter(lane, { ...d, runId: 'second' }).answer.kind, 'admitted', 'it comes again');
    });

    it('wait for who has begun', () => {
      const lane = emptyLane();
      deliver(lane, 'a');
      const b = rolloutOf('b');
      come(lane, b);
      begin(lane, b);
      const { answer, superseded } = request(lane, asking('a'));
      assert.deepEqual([answer.kind, superseded], ['waiting', []]);
      ran(lane, { ...b, running: runningOf(b, 'b', runningOf(rolloutOf('a'), 'a')) });
      assert.equal(request(lane, asking('a')).answer.kind, 'unchanged', 'the stage runs something else by now');
      assert.deepEqual(end(lane, b, 'delivered'), []);
    });

    it('undo nothing where the stage runs something else once their turn has come', () => {
      const lane = emptyLane();
      deliver(lane, 'a');
      const b = rolloutOf('b');
      come(lane, b);
      const answer = begin(lane, b);
      assert.equal(request(lane, asking('a')).answer.kind, 'waiting');
      ran(lane, { ...b, running: runningOf(b, 'b', answer.kind === 'go' ? answer.before : undefined) });
      assert.deepEqual(end(lane, b, 'delivered'), [back.rollout]);
      assert.deepEqual(request(lane, asking('a')).answer, { kind: 'unchanged', by: b.rollout });
      assert.equal(lane.stages[stage]?.holder, undefined);
    });

    it('undo nothing where that was done while they waited', () => {
      const lane = emptyLane();
      const a = rolloutOf('a');
      come(lane, a);
      begin(lane, a);
      ran(lane, { ...a, running: runningOf(a, 'a') });
      assert.equal(request(lane, asking('a')).answer.kind, 'waiting');
      undo(lane, a);
      assert.deepEqual(end(lane, a, 'rolled-back'), [back.rollout]);
      assert.equal(request(lane, asking('a')).answer.kind, 'unchanged');
    });

    it('answer a repeated question alike', () => {
      const lane = emptyLane();
      deliver(lane, 'a');
      const first = request(lane, asking('a'));
      assert.equal(first.answer.kind, 'granted');
      assert.deepEqual(request(lane, asking('a')), first);
    });

    it('neither wait for windows, hold and pin, nor are superseded', () => {
      const lane = emptyLane();
      deliver(lane, 'a');
      lane.hold = { by: 'ann', at: someTime };
      const of = lane.stages[stage];
      assert.ok(of);
      of.hold = lane.hold;
      of.pin = { ...lane.hold, digest: digestOf('a') };
      request(lane, asking('a'));
      come(lane, rolloutOf('newer'));
      assert.equal(begin(lane, back, { reason: 'closed' }).kind, 'go');
    });

    it('leave what they go back to, and no verdict where they come to nothing', () => {
      const lane = emptyLane();
      deliver(lane, 'good');
      deliver(lane, 'bad');
      request(lane, asking('bad'));
      begin(lane, back);
      const verdicts = structuredClone(lane.verdicts);
      const idle = structuredClone(lane);
      end(idle, back, 'unchanged');
      assert.equal(idle.stages[stage]?.current?.rollout, rolloutOf('bad').rollout);
      const failing = structuredClone(lane);
      end(failing, { ...back, digest: digestOf('bad') }, 'failed');
      assert.deepEqual(failing.verdicts, verdicts);
      rolledBack(lane, { ...back, digest: digestOf('bad'), reason: 'slow', by: 'ann', at: someTime });
      release(lane, { ...back, reached: true });
      assert.equal(lane.stages[stage]?.current?.digest, digestOf('good'));
      assert.equal(lane.stages[stage]?.running?.digest, digestOf('good'));
      end(lane, { ...back, digest: digestOf('bad') }, 'rolled-back');
      assert.equal(come(lane, { ...rolloutOf('good'), runId: 'second' }).kind, 'unchanged');
    });
  });

  it('go on with the least that a lane can know', () => {
    const a = rolloutOf('a');
    const standing = { rollout: a.rollout, tag: a.tag, digest: a.digest, sequence: 1, manual: false };
    const old: LaneState = {
      clock: 2,
      newest: { latest: a.digest },
      verdicts: {},
      quarantine: {},
      members: { [a.rollout]: { runId: a.runId, tag: a.tag, digest: a.digest, manual: false, position: standing } },
      stages: { [stage]: { turn: 2, holder: a.rollout, waiters: [], latest: standing } },
      delivered: {},
    };
    assert.deepEqual(begin(old, a), { kind: 'go', turn: 2 });
    ran(old, { ...a, running: runningOf(a, 'a') });
    release(old, { ...a, reached: true });
    end(old, a, 'delivered');
    deliver(old, 'b');
    assert.equal(old.stages[stage]?.earlier?.[0]?.digest, a.digest);
  });
});

function emptyLaneAfter(lane: LaneState): LaneState {
  for (const rollout of Object.keys(lane.members)) end(lane, { ...rolloutOf(''), ...lane.members[rollout], rollout }, 'aborted');
  return lane;
}
