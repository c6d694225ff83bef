import assert from 'node:assert/strict';
import type { Tag } from '../../../src/domain/image-reference.ts';
import { budgets, bytesOf } from '../../../src/domain/lane/bounds.ts';
import {
  countRollback,
  DecisionRefused,
  freeFromQuarantine,
  hold,
  mayName,
  mayPin,
  mayPromote,
  mayQuarantine,
  mayRelease,
  mayRollBack,
  mayUnquarantine,
  pin,
  putInQuarantine,
  releaseHold,
} from '../../../src/domain/lane/decisions.ts';
import { enter, leave } from '../../../src/domain/lane/members.ts';
import { begin, noteDelivered, ran } from '../../../src/domain/lane/stages.ts';
import { emptyLane, type LaneState } from '../../../src/domain/lane/state.ts';
import { request } from '../../../src/domain/lane/turns.ts';
import { come, deliver, end, exact, rolloutOf, runningOf, someTime, stage, undo } from '../../support/lane-moves.ts';
import { deployOf, digestOf } from '../../support/plans.ts';

const word = { by: 'ann (unverified)', reason: 'audit', at: someTime };
const bare = { by: 'ann (unverified)', at: someTime };

const pinOf = (lane: LaneState) => lane.stages[stage]?.pin;

describe('what operators say to a lane', () => {
  it('holds one stage, or the whole service, until it is released', () => {
    for (const named of [stage, undefined]) {
      const lane = emptyLane();
      const a = rolloutOf('a');
      come(lane, a);
      mayName(lane, named);
      hold(lane, named, word);
      const answer = begin(lane, a);
      assert.ok(answer.kind === 'wait');
      assert.match(answer.reason, /held by ann \(unverified\): audit$/);
      mayRelease(lane, named);
      assert.deepEqual(releaseHold(lane, named), [a.rollout], 'the holder hears of it');
      assert.equal(begin(lane, a).kind, 'go');
    }
  });

  it('pins a stage to a digest: that one may go there, others wait', () => {
    const lane = emptyLane();
    const [a, b] = [rolloutOf('a'), rolloutOf('b')];
    come(lane, a);
    assert.deepEqual(pin(lane, stage, mayPin(lane, stage, digestOf('b')), bare), [a.rollout]);
    const answer = begin(lane, a);
    assert.ok(answer.kind === 'wait');
    assert.equal(answer.reason, `production is pinned to ${digestOf('b')} by ann (unverified)`);
    end(lane, a, 'aborted');
    come(lane, b);
    assert.equal(begin(lane, b).kind, 'go');
  });

  it('releases holds and pins of all stages at once', () => {
    const lane = emptyLane();
    enter(lane, { ...rolloutOf('a'), stages: ['staging', stage] });
    hold(lane, undefined, word);
    hold(lane, 'staging', word);
    pin(lane, stage, digestOf('a'), word);
    releaseHold(lane, undefined);
    assert.equal(lane.hold, undefined);
    assert.deepEqual(
      Object.values(lane.stages).filter(({ hold, pin }) => hold ?? pin),
      [],
    );
    assert.throws(
      () => mayRelease(lane, undefined),
      new DecisionRefused('nothing to release: neither the service nor a stage is held or pinned'),
    );
  });

  it('is refused for stages that the lane does not know, naming those that it does', () => {
    const lane = emptyLane();
    mayName(lane, 'anything');
    enter(lane, { ...rolloutOf('a'), stages: ['staging', stage] });
    for (const may of [mayName, mayRelease, mayRollBack]) {
      assert.throws(() => may(lane, 'prod'), /no stage 'prod' is known here: expected one of staging, production/);
    }
    assert.throws(() => mayName(lane, 'constructor'), DecisionRefused);
    assert.throws(() => mayName(emptyLane(), 'x'.repeat(101)), DecisionRefused);
  });

  it('says that a stage is held with the whole service, where it is not held by itself', () => {
    const lane = emptyLane();
    enter(lane, rolloutOf('a'));
    hold(lane, undefined, word);
    assert.throws(() => mayRelease(lane, stage), /the whole service is held: release it without naming a stage/);
  });

  it('quarantines a digest and frees it again, with its index and what else was pushed of that', () => {
    const lane = emptyLane();
    const a = rolloutOf('a');
    come(lane, a);
    assert.deepEqual(putInQuarantine(lane, mayQuarantine(lane, digestOf('a')), bare), [a.rollout], 'its rollout hears of it');
    assert.deepEqual(begin(lane, a), { kind: 'quarantined', reason: 'quarantined by ann (unverified)' });
    assert.throws(() => mayQuarantine(lane, digestOf('a')), /in quarantine already/);
    freeFromQuarantine(lane, mayUnquarantine(lane, digestOf('a')));
    assert.equal(begin(lane, a).kind, 'go');
    assert.throws(() => mayUnquarantine(lane, digestOf('a')), /Known?.*|None is known yet/);
  });

  it('lets a push of a freed digest be taken up again', () => {
    for (const named of ['child', 'index']) {
      const lane = emptyLane();
      const child = rolloutOf('child');
      enter(lane, child);
      const standing = { rollout: child.rollout, tag: child.tag, digest: digestOf('index'), sequence: 1, manual: false };
      Object.assign(lane.members[child.rollout] ?? {}, { position: standing });
      lane.newest.latest = digestOf('index');
      leave(lane, { ...child, end: 'rejected', quarantinedBy: 'ann', at: someTime });
      assert.equal(enter(lane, child).answer.kind, 'quarantined');
      freeFromQuarantine(lane, mayUnquarantine(lane, digestOf(named)));
      assert.deepEqual(lane.quarantine, {});
      assert.equal(enter(lane, child).answer.kind, 'admitted', `by the ${named}`);
    }
  });

  it('may name a digest by its beginning, where only one begins so', () => {
    const lane = emptyLane();
    deliver(lane, 'a');
    const short = digestOf('a').slice(7, 19);
    for (const typed of [short, `sha256:${short}`, ` ${digestOf('a')} `]) assert.equal(mayQuarantine(lane, typed), digestOf('a'));
    assert.equal(mayQuarantine(lane, digestOf('never seen')), digestOf('never seen'));
    for (const typed of ['', 'abc', short.slice(0, 6), 'latest', `${digestOf('a')}0`, 'sha256:']) {
      assert.throws(() => mayQuarantine(lane, typed), /expected sha256: and 64 hex digits.*latest, runs in production/);
    }
    lane.quarantine[`${digestOf('a').slice(0, -1)}x` as never] = { reason: '', at: someTime };
    assert.throws(() => mayPin(lane, stage, short), /several digests/);
  });

  it('undoes what a stage runs, where that is known, with what ran before', () => {
    const lane = emptyLane();
    enter(lane, rolloutOf('x'));
    assert.throws(() => mayRollBack(lane, stage), /knows nothing that it brought to production/);
    deliver(lane, 'a');
    assert.throws(() => mayRollBack(lane, stage), /the first that Landfall brought to production: it knows of nothing before it/);
    deliver(lane, 'b');
    const running = mayRollBack(lane, stage);
    assert.equal(running.digest, digestOf('b'));
    assert.ok(!('standing' in running));
    assert.deepEqual([countRollback(lane, stage), countRollback(lane, stage)], [1, 2]);
    request(lane, { rollout: 'rollback:web:production:2', runId: 'r', stage, policy: exact, rollback: running });
    assert.throws(() => mayRollBack(lane, stage), /is being rolled back already, by rollback:web:production:2/);
  });

  it('undoes a first deployment over something that ran before Landfall came', () => {
    const lane = emptyLane();
    const a = rolloutOf('a');
    come(lane, a);
    const running = runningOf(a, 'a');
    ran(lane, { ...a, running: { ...running, before: { running: [{ name: 'web', reference: 'web:1' }] } } });
    assert.equal(mayRollBack(lane, stage).before.running[0]?.reference, 'web:1');
  });

  it('undoes a first deployment by something else, where the repository knows what was before', () => {
    const lane = emptyLane();
    const a = rolloutOf('a');
    come(lane, a);
    const proposal = {
      kind: 'branch' as const,
      url: 'https://forge.example.test/1',
      branch: 'landfall/web',
      base: 'main',
      head: 'a'.repeat(40),
    };
    const running = { ...runningOf(a, 'a'), proposal: { ...proposal, before: ['web:1'], after: ['web:2'] } };
    ran(lane, { ...a, running });
    assert.equal(mayRollBack(lane, stage).digest, digestOf('a'));
    const [production] = running.plan.stages;
    const deploy = deployOf('docker', { containers: { names: ['web'] } });
    const plan = { ...running.plan, stages: production === undefined ? [] : [{ ...production, deploy }] };
    ran(lane, { ...a, running: { ...running, plan } });
    assert.throws(() => mayRollBack(lane, stage), /knows of nothing before it/, 'containers are not known by a repository');
  });

  it('brings an earlier digest back, by the plan that served the stage last', () => {
    const lane = emptyLane();
    deliver(lane, 'a', '1.0.0');
    deliver(lane, 'b', '1.1.0');
    const { image, plan } = mayPromote(lane, stage, digestOf('a').slice(7, 19));
    assert.deepEqual([image.digest, image.tag], [digestOf('a'), '1.0.0']);
    assert.deepEqual(
      plan.stages.map(({ name }) => name),
      [stage],
    );
  });

  it('brings no digest anywhere that no stage has run, that runs there, or that is in quarantine', () => {
    const lane = emptyLane();
    enter(lane, { ...rolloutOf('x'), stages: ['staging', stage] });
    deliver(lane, 'a', '1.0.0');
    const b = deliver(lane, 'b', '1.1.0');
    assert.throws(
      () => mayPromote(lane, stage, digestOf('x')),
      /expected one of these, or its first 7 or more hex digits. Known: .*1\.1\.0, runs in production.*1\.0\.0, ran in production/,
    );
    assert.throws(() => mayPromote(lane, stage, digestOf('b')), /runs sha256:\w+ already/);
    assert.throws(() => mayPromote(lane, 'staging', digestOf('b')), /nothing has gone to staging yet.*trigger one/);
    putInQuarantine(lane, digestOf('a'), bare);
    assert.throws(() => mayPromote(lane, stage, digestOf('a')), /in quarantine.*unquarantine it first/);
    freeFromQuarantine(lane, digestOf('a'));
    undo(lane, { ...b, runId: 'a run that the lane forgot' });
    assert.throws(() => mayPromote(lane, stage, digestOf('b')), /in quarantine.*unquarantine it first/);
  });

  it('brings back what was rolled back, once it is out of quarantine, also to a stage of which nothing else is known', () => {
    const lane = emptyLane();
    deliver(lane, 'a', '1.0.0');
    for (const [word, known] of [
      ['b', true],
      ['c', false],
    ] as const) {
      const undone = deliver(lane, word, '1.2.0');
      if (!known) delete lane.stages[stage]?.earlier;
      undo(lane, undone);
      assert.equal(lane.stages[stage]?.running?.digest, known ? digestOf('a') : undefined);
      freeFromQuarantine(lane, digestOf(word));
      const { image, plan } = mayPromote(lane, stage, digestOf(word).slice(7, 19));
      assert.deepEqual([image.digest, image.tag], [digestOf(word), '1.2.0']);
      assert.deepEqual(
        plan.stages.map(({ name }) => name),
        [stage],
      );
    }
  });

  it('brings back any of the last fifty that went to a stage, and of more stages as many as a lane has room for', () => {
    const lane = emptyLane();
    const since = (number: number): string => new Date(Date.parse(someTime) + number * 1_000).toISOString();
    for (let number = 0; number < 60; number += 1) deliver(lane, `${number}`, 'latest', since(number));
    assert.equal(mayPromote(lane, stage, digestOf('10')).image.digest, digestOf('10'));
    assert.throws(() => mayPromote(lane, stage, digestOf('9')), /no digest that is known here/);
    const handedOn = JSON.parse(JSON.stringify(lane));
    assert.equal(mayPromote(handedOn, stage, digestOf('10')).image.digest, digestOf('10'));
    for (let number = 0; number < 20 * 50; number += 1) {
      const image = { repository: 'r'.repeat(200) as never, tag: 't'.repeat(100) as Tag, digest: digestOf(`other ${number}`) };
      noteDelivered(lane, ['constructor', '__proto__'][number] ?? `stage ${number % 20}`, image, since(100 + number));
    }
    assert.ok(bytesOf(lane.delivered) <= budgets.delivered, `${bytesOf(lane.delivered)} bytes`);
    assert.ok(lane.delivered['stage 19']?.some(({ digest }) => digest === digestOf('other 999')));
    assert.equal(lane.delivered[stage]?.length, 1, 'what a stage got last is kept');
  });

  it('promotes what it still knows of where the list of deliveries is forgotten', () => {
    const lane = emptyLane();
    deliver(lane, 'a', '1.0.0');
    deliver(lane, 'b', '1.1.0');
    lane.delivered = {};
    assert.equal(mayPromote(lane, stage, digestOf('a')).image.digest, digestOf('a'));
    undo(lane, { ...rolloutOf('b', '1.1.0'), runId: 'a run that the lane forgot' });
    freeFromQuarantine(lane, digestOf('b'));
    assert.equal(mayPromote(lane, stage, digestOf('b')).image.tag, '1.1.0');
  });

  it('ends the pin of a digest that is rolled back, and pins none that is in quarantine', () => {
    const lane = emptyLane();
    deliver(lane, 'a');
    const b = deliver(lane, 'b');
    pin(lane, stage, mayPin(lane, stage, digestOf('b')), word);
    undo(lane, b);
    assert.equal(pinOf(lane), undefined, 'nothing could enter the stage any more');
    assert.throws(() => mayPin(lane, stage, digestOf('b')), /in quarantine.*unquarantine it first/);
    pin(lane, stage, mayPin(lane, stage, digestOf('a')), word);
    const c = rolloutOf('c');
    undo(lane, { ...c, digest: digestOf('c') });
    assert.equal(pinOf(lane)?.digest, digestOf('a'), 'another pin stays');
  });
});
