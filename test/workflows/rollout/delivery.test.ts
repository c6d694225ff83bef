import assert from 'node:assert/strict';
import { type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { ProofInput } from '../../../src/contracts/activities/people.ts';
import { approveUpdate, progressSignal, stateQuery } from '../../../src/contracts/messages.ts';
import { laneId } from '../../../src/contracts/start-options.ts';
import type { ImagePush } from '../../../src/domain/image-push.ts';
import type { Notice } from '../../../src/domain/notice.ts';
import type { ApprovalPlan, Plan, StagePlan } from '../../../src/domain/plan.ts';
import type { Decision, RolloutState } from '../../../src/domain/rollout-state.ts';
import { readOverview } from '../../../src/operations/overview.ts';
import { delivered, deployOf, digestOf, imageOf, pushOf, stageOf } from '../../support/plans.ts';
import { eventually } from '../../support/wait.ts';
import { workflowTests } from '../../support/workflow-tests.ts';

const approval = (overrides: Partial<ApprovalPlan> = {}): ApprovalPlan => ({
  from: [{ name: 'ann', github: 'Ann-GH' }, { name: 'bob' }],
  required: 1,
  withinMs: 60_000,
  selfApproval: true,
  verified: false,
  ...overrides,
});

/** GitHub signs who pushed. */
const atGitHub = { by: 'forge', fields: ['actor'], actorOf: 'github' } as const;

describe('the delivery of a stage', function () {
  this.timeout(60_000);
  const { temporal, world, activities, work, push, result, until, reached, laneState: lane, ...tests } = workflowTests('shop');
  const aPlan = (stages: StagePlan[], overrides: Partial<Plan> = {}): Plan => tests.aPlan({ stages, ...overrides });
  const begin = (plan: Plan, word: string, by: Partial<ImagePush> = {}, asked = false): Promise<WorkflowHandle> =>
    push(plan, word, { push: { ...pushOf(imageOf(plan, word)), ...by }, manual: asked });
  const approve = (handle: WorkflowHandle, decision: Decision): Promise<RolloutState> =>
    handle.executeUpdate<RolloutState, [Decision]>(approveUpdate.name, { args: [decision] });
  const stepsOf = (state: RolloutState, stage: string): string[] =>
    state.steps.filter((step) => step.stage === stage).map(({ step, status }) => `${step} ${status}`);
  const short = (word: string): string => digestOf(word).slice(7, 19);

  it('merges, deploys and watches, and adds at most 60 events for each further stage', async () => {
    await work();
    const plan = aPlan([stageOf('staging', delivered), stageOf('production', { ...delivered, approval: approval() })]);
    const handle = await begin(plan, 'good');
    await until(handle, 'waiting');
    const before = (await handle.describe()).historyLength;
    await approve(handle, { by: 'ann' });
    const state = await result(handle);
    assert.equal(state.status, 'delivered', state.reason);
    assert.deepEqual(stepsOf(state, 'production'), [
      'confirm passed',
      'propose passed',
      'approve passed',
      'merge passed',
      'deploy passed',
      'watch passed',
    ]);
    assert.deepEqual(world.stage(plan, 'production').log, [`merge ${short('good')}`, `deploy web ${short('good')}`]);
    const { historyLength } = await handle.describe();
    // Before the approval was asked for, production had its turn (2), confirm (6), propose (6) and a look (1).
    assert.ok(historyLength - before <= 60 - 15, `${historyLength - before} events after the approval was asked for`);
    assert.equal((await lane(plan)).stages.production?.running?.digest, digestOf('good'));
  });

  it('begins production only once staging is healthy, and never when staging is rolled back', async () => {
    await work();
    const plan = aPlan([stageOf('staging', delivered), stageOf('production', delivered)]);
    await result(await begin(plan, 'first'));
    world.bad.add(digestOf('second'));
    const state = await result(await begin(plan, 'second'));
    assert.equal(state.status, 'rolled-back', state.reason);
    assert.deepEqual(world.stage(plan, 'staging').log.slice(2), [
      `merge ${short('second')}`,
      `deploy web ${short('second')}`,
      'restore',
      `revert ${short('second')}`,
      'merge of the revert',
    ]);
    assert.equal(world.stage(plan, 'staging').containers.get('web'), digestOf('first'));
    assert.deepEqual(world.stage(plan, 'production').log, [`merge ${short('first')}`, `deploy web ${short('first')}`]);
    const { quarantine, stages } = await lane(plan);
    assert.ok(quarantine[digestOf('second')], 'the digest is quarantined');
    assert.equal(stages.staging?.running?.digest, digestOf('first'));
    const again = await result(await begin(plan, 'second'));
    assert.equal(again.status, 'rejected');
    assert.match(again.reason ?? '', /Quarantined/);
  });

  it('keeps the last lines of what was unhealthy, which is gone a moment later, and tells people', async () => {
    const notices: Notice[] = [];
    await work({ queueNotice: async ({ notice }) => void notices.push(notice) });
    const notify = [{ kind: 'webhook', settings: {}, events: ['unhealthy', 'rolled-back'] as const }];
    const plan = { ...aPlan([stageOf('production', delivered)]), notify };
    await result(await begin(plan, 'before'));
    world.bad.add(digestOf('loser'));
    const state = await result(await begin(plan, 'loser'));
    assert.equal(state.status, 'rolled-back');
    const watch = state.steps.find(({ step }) => step === 'watch');
    assert.deepEqual([watch?.status, watch?.failure, watch?.reason], ['stopped', 'Unhealthy', 'http answered 503']);
    assert.match(JSON.stringify(watch?.details), /lost my database/);
    assert.deepEqual(
      notices.map(({ event, log }) => [event, log]),
      [
        ['unhealthy', 'lost my database'],
        ['rolled-back', undefined],
      ],
    );
  });

  it('brings a bad image to the canary alone', async () => {
    await work();
    const deploy = deployOf('docker', { containers: { names: ['a', 'b', 'c'] } }, { canary: 1 });
    const plan = aPlan([stageOf('production', { ...delivered, deploy })]);
    const stage = world.stage(plan, 'production');
    for (const name of ['a', 'b', 'c']) stage.containers.set(name, digestOf('old'));
    world.bad.add(digestOf('bad'));
    const state = await result(await begin(plan, 'bad'));
    assert.equal(state.status, 'rolled-back', state.reason);
    assert.deepEqual(
      stage.log.filter((line) => line.startsWith('deploy')),
      [`deploy a ${short('bad')}`],
    );
    assert.deepEqual([...stage.containers.values()], [digestOf('old'), digestOf('old'), digestOf('old')]);
  });

  it('does not blame the new image for what was unhealthy before: it is blocked with both readings', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    world.stage(plan, 'production').containers.set('web', digestOf('old'));
    world.bad.add(digestOf('old')).add(digestOf('new'));
    const handle = await begin(plan, 'new');
    const { steps } = await until(handle, 'blocked');
    const watch = steps.find(({ step }) => step === 'watch');
    assert.equal(watch?.failure, 'UnhealthyBefore');
    assert.match(watch?.reason ?? '', /unhealthy before.*fake reading.*still is.*503/);
    await handle.executeUpdate('reject', { args: [{ by: 'ann', reason: 'take it back' }] });
    // What ran before is not healthy either, and nobody is asked to like that: the rollback is blocked, loudly.
    const blocked = await eventually('the rollback to be blocked', async () => {
      const state = await handle.query(stateQuery);
      return state.steps.some(({ step, status }) => step === 'rollback' && status === 'blocked') && state;
    });
    assert.match(blocked.reason ?? '', /rollback of production is not done/);
    await handle.executeUpdate('skip', { args: [{ by: 'ann', step: 'rollback', reason: 'known' }] });
    assert.equal((await result(handle)).status, 'rolled-back');
  });

  it('goes back through the repository where something else deploys, and waits for the commit of the revert', async () => {
    const watched: (readonly [string | undefined, string | undefined])[] = [];
    await work({
      async mergeChange(input) {
        const isRevert = input.proposal.branch.endsWith('-rollback');
        const merged = await world.activities.mergeChange(input);
        return merged.kind === 'merged' ? { ...merged, commit: isRevert ? 'revert' : 'merge' } : merged;
      },
      async watchStage(input) {
        const { expected, commit } = input;
        watched.push([expected?.digest, commit]);
        if (expected?.digest !== digestOf('ill')) return await world.activities.watchStage(input);
        throw ApplicationFailure.create({ type: 'Unhealthy', message: 'it is Degraded', nonRetryable: true, details: [{}] });
      },
    });
    const { deploy: _ofLandfall, ...ofOthers } = delivered;
    const plan = aPlan([stageOf('production', ofOthers)]);
    await result(await begin(plan, 'good'));
    assert.equal((await result(await begin(plan, 'ill'))).status, 'rolled-back');
    const [good, ill] = [digestOf('good'), digestOf('ill')];
    assert.deepEqual(watched, [
      [good, 'merge'],
      [ill, 'merge'],
      [good, 'revert'],
    ]);
    assert.deepEqual(world.stage(plan, 'production').log.slice(1), [
      `merge ${short('ill')}`,
      `revert ${short('ill')}`,
      'merge of the revert',
    ]);
  });

  it('that is the first of its kind has nothing to go back to: blocked, and failed when nobody decides', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)], { decideWithinMs: 500 });
    world.bad.add(digestOf('first of all'));
    const state = await result(await begin(plan, 'first of all'));
    assert.equal(state.status, 'failed', state.reason);
    assert.match(state.steps.find(({ step }) => step === 'rollback')?.reason ?? '', /nothing ran in production before/);
  });

  it('watches what runs already, so that nothing gets past a stage that an aborted rollout left unhealthy', async () => {
    const proposes = activities().propose;
    const held = new Set<string>();
    await work({
      // What was merged once is in the base branch.
      propose: async (input) =>
        held.has(`${input.stage.name} ${input.image.digest}`)
          ? { kind: 'unchanged', base: 'main', head: 'a' }
          : await proposes(input),
    });
    const plan = aPlan([stageOf('staging', { ...delivered, rollback: 'manual' }), stageOf('production', delivered)]);
    await result(await begin(plan, 'sound'));
    world.bad.add(digestOf('rotten'));
    const first = await begin(plan, 'rotten');
    await until(first, 'blocked');
    held.add(`staging ${digestOf('rotten')}`);
    await first.executeUpdate('abort', { args: [{ by: 'ann' }] });
    await first.result();
    const again = await begin(plan, 'rotten', {}, true);
    const state = await until(again, 'blocked');
    assert.deepEqual(stepsOf(state, 'staging').slice(-3), ['merge pending', 'deploy passed', 'watch blocked']);
    assert.ok(stepsOf(state, 'production').every((step) => step.endsWith('pending')));
    // It can be undone as a whole, although this run has merged nothing.
    await again.executeUpdate('reject', { args: [{ by: 'ann' }] });
    assert.equal((await result(again)).status, 'rolled-back');
    assert.deepEqual(world.stage(plan, 'staging').log.slice(-3), ['restore', `revert ${short('rotten')}`, 'merge of the revert']);
    assert.equal(world.stage(plan, 'staging').containers.get('web'), digestOf('sound'));
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('sound'));
  });

  it('waits where it may not roll back by itself, and does when an operator rejects', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, rollback: 'manual' })]);
    await result(await begin(plan, 'well'));
    world.bad.add(digestOf('ill'));
    const handle = await begin(plan, 'ill');
    await until(handle, 'blocked');
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('ill'));
    await handle.executeUpdate('reject', { args: [{ by: 'ann', step: 'watch' }] });
    const state = await result(handle);
    assert.equal(state.status, 'rolled-back', state.reason);
    assert.match(state.reason ?? '', /rejected by ann/);
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('well'));
  });

  it('counts approvals of named operators only, each once, in time, and of this digest', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval({ required: 2 }) })]);
    const handle = await begin(plan, 'approved');
    await until(handle, 'waiting');
    const refused = async (decision: Decision, why: RegExp): Promise<void> => {
      await assert.rejects(approve(handle, decision), (error: unknown) => {
        assert.ok(error instanceof WorkflowUpdateFailedError);
        assert.match(String(error.cause?.message), why);
        return true;
      });
    };
    await refused({ by: 'mallory' }, /mallory may not approve production: expected one of ann, bob/);
    await refused({}, /nobody may not approve|expected one of ann, bob/);
    await refused({ by: 'ann', digest: digestOf('another') }, /approval is for sha256/);
    await refused({ by: 'ann', stage: 'staging' }, /the stage staging waits for no approval now; these do: production/);
    const head = digestOf('approved').slice(7, 47);
    await refused({ by: 'ann', head: 'e'.repeat(40) }, /proposal at .*, and the approval is for eeeeeeeeeeee/);
    await refused({ by: 'ann', proof: 'proof of ann' }, /has to be for the proposal of production, whose head is/);
    await refused({ by: 'ann', head, proof: 'made up', earlier: 0 }, /the proof is wrong/);
    await approve(handle, { by: 'ann', digest: digestOf('approved'), head, reason: 'looks good' });
    await refused({ by: 'ann' }, /ann has approved production already/);
    await approve(handle, { by: 'bob', head, proof: 'proof of bob', earlier: 1 });
    const state = await result(handle);
    assert.equal(state.status, 'delivered', state.reason);
    assert.deepEqual(
      state.approvals?.production?.map(({ at: _, ...given }) => given),
      [
        { by: 'ann', reason: 'looks good', verified: false, way: 'decision', head },
        { by: 'bob', verified: true, way: 'decision', head },
      ],
    );
    assert.match(state.steps.find(({ step }) => step === 'approve')?.reason ?? '', /approved by ann \(unverified\), bob/);
  });

  it('asks again for the approval of what people committed since, and not for the same change on a later base', async () => {
    const proposes = activities().propose;
    let proposals = 0;
    // By the third, somebody has committed to the branch.
    const more = [{}, { head: '1'.repeat(40) }, { head: '2'.repeat(40), foreign: true as const }];
    await work({
      async propose(input) {
        const outcome = await proposes(input);
        if (outcome.kind !== 'proposed') return outcome;
        const proposal = { ...outcome.proposal, ...more[Math.min(proposals, 2)] };
        proposals += 1;
        return { ...outcome, proposal };
      },
    });
    const plan = aPlan([stageOf('production', { ...delivered, merge: 'manual', approval: approval() })]);
    const branch = `landfall/${plan.service}-production`;
    const handle = await begin(plan, 'changing');
    const waitsFor = (step: string): Promise<RolloutState> =>
      eventually(`${step} to wait`, async () => {
        const state = await handle.query(stateQuery);
        return state.steps.some((each) => each.step === step && each.status === 'waiting') && state;
      });
    await waitsFor('approve');
    await approve(handle, { by: 'ann' });
    for (const expected of ['merge', 'approve']) {
      await waitsFor('merge');
      world.failing.set(branch, ['build']);
      await handle.signal(progressSignal, { what: 'check_run completed' });
      await until(handle, 'blocked');
      world.failing.clear();
      await handle.executeUpdate('retry', { args: [{ by: 'ann', step: 'merge' }] });
      const state = await waitsFor(expected);
      if (expected === 'merge') assert.equal(state.approvals?.production?.[0]?.head, digestOf('changing').slice(7, 47));
    }
    // People find it among what waits for them, though the merge is under way.
    await reached(handle, 'waiting');
    const [asking] = (await readOverview(temporal.client)).asking;
    assert.equal(asking?.rollout, handle.workflowId);
    assert.deepEqual(
      asking.questions.map(({ asks, head }) => [asks, head]),
      [['approval', '2'.repeat(40)]],
    );
    assert.match(asking.standing ?? '', /^approve \(production\): waits for 1 of ann, bob/);
    await approve(handle, { by: 'bob', head: '2'.repeat(40) });
    await waitsFor('merge');
    world.mergedByHand.set(branch, 'octocat');
    await handle.signal(progressSignal, { what: 'pull_request closed' });
    const state = await result(handle);
    assert.equal(state.status, 'delivered', state.reason);
    assert.deepEqual(
      state.approvals?.production?.map(({ by, head }) => [by, head]),
      [['bob', '2'.repeat(40)]],
    );
  });

  it('is never merged on an approval with what somebody pushed meanwhile: a retry is blocked until that is gone', async () => {
    const proposes = activities().propose;
    let pushed = false;
    await work({
      async propose(input) {
        const conflict = { type: 'BranchConflict', message: 'found evil.sh (new)', nonRetryable: true };
        if (pushed) throw ApplicationFailure.create(conflict);
        return await proposes(input);
      },
      async proposalState(input) {
        const standing = await world.activities.proposalState(input);
        return pushed && standing.kind === 'open' ? { ...standing, head: 'e'.repeat(40) } : standing;
      },
    });
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval() })]);
    const handle = await begin(plan, 'pushed to');
    await until(handle, 'waiting');
    pushed = true;
    await approve(handle, { by: 'ann' });
    const retry = () => handle.executeUpdate('retry', { args: [{ by: 'ann', step: 'merge' }] });
    for (const failure of ['HeadMoved', 'BranchConflict']) {
      await eventually(`the merge to be blocked by ${failure}`, async () => {
        const { steps } = await handle.query(stateQuery);
        return steps.some((step) => step.step === 'merge' && step.status === 'blocked' && step.failure === failure);
      });
      assert.deepEqual(world.stage(plan, 'production').log, []);
      pushed = failure === 'HeadMoved';
      await retry();
    }
    const state = await result(handle);
    assert.equal(state.status, 'delivered', state.reason);
  });

  it('counts reviews only of the head, by a named operator', async () => {
    await work();
    const from = [{ name: 'ann', github: 'Ann-GH', githubId: 7 }, { name: 'bob' }];
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval({ verified: true, from }) })]);
    const image = imageOf(plan, 'reviewed');
    const branch = `landfall/${plan.service}-production`;
    const review = { state: 'approved', at: new Date().toISOString() } as const;
    const head = image.digest.slice(7, 47);
    world.reviews.set(branch, [
      { ...review, by: 'stranger', commit: head },
      { ...review, by: 'ann-gh', commit: 'e'.repeat(40) },
    ]);
    const handle = await begin(plan, 'reviewed');
    const waiting = await until(handle, 'waiting');
    const reason = waiting.steps.find(({ step }) => step === 'approve')?.reason ?? '';
    assert.match(reason, /review of stranger does not count: no operator/);
    assert.match(reason, /review of ann-gh does not count: it is of eeeeeeeeeeee, not of the head/);
    await assert.rejects(approve(handle, { by: 'bob' }), (error: unknown) => {
      assert.match(String(error instanceof WorkflowUpdateFailedError && error.cause?.message), /verified approvals only/);
      return true;
    });
    // An account that took the login over.
    world.reviews.set(branch, [{ ...review, by: 'ANN-gh', byId: 8, commit: head }]);
    await handle.signal(progressSignal, { what: 'pull_request_review submitted' });
    await eventually('the review to be seen', async () =>
      /review of ANN-gh does not count: no operator/.test(
        (await handle.query(stateQuery)).steps.map(({ reason }) => reason).join(),
      ),
    );
    world.reviews.set(branch, [{ ...review, by: 'renamed', byId: 7, commit: head }]);
    await handle.signal(progressSignal, { what: 'pull_request_review submitted' });
    const state = await result(handle);
    assert.equal(state.status, 'delivered', state.reason);
    assert.deepEqual(state.approvals?.production?.[0]?.way, 'review');
  });

  it('is not approved by who pushed it, nor by anybody where nobody knows who did', async () => {
    await work();
    const from = [{ name: 'ann', github: 'Ann-GH' }, { name: 'bob', github: 'bob-gh' }, { name: 'cleo' }];
    const four = approval({ from, selfApproval: false });
    const plan = aPlan([stageOf('production', { ...delivered, approval: four })]);
    const refused = (handle: WorkflowHandle, by: string, why: RegExp): Promise<void> =>
      assert.rejects(approve(handle, { by }), (error: unknown) => {
        assert.match(String(error instanceof WorkflowUpdateFailedError && error.cause?.message), why);
        return true;
      });
    const handle = await begin(plan, 'mine', { actor: 'ann-gh', proven: atGitHub });
    await until(handle, 'waiting');
    await refused(handle, 'ann', /ann pushed this image \(as ann-gh\): production may not be approved by who pushed/);
    await refused(handle, 'cleo', /ann-gh pushed this image, and cleo has no login at GitHub/);
    await approve(handle, { by: 'bob' });
    assert.equal((await result(handle)).status, 'delivered');

    // A new name at GitHub makes nobody another person.
    const known = approval({
      from: [
        { name: 'ann', github: 'ann-gh', githubId: 7 },
        { name: 'bob', github: 'bob-gh' },
      ],
      selfApproval: false,
    });
    const byId = aPlan([stageOf('production', { ...delivered, approval: known })]);
    const renamed = await begin(byId, 'renamed', { actor: 'ann-2', proven: { ...atGitHub, actorId: 7 } });
    await until(renamed, 'waiting');
    await refused(renamed, 'ann', /ann pushed this image \(as ann-2\)/);
    await approve(renamed, { by: 'bob' });
    await result(renamed);

    // Names that nothing proves, and those of other registries, are nobody's here: they rule nobody out.
    for (const [word, push, why] of [
      ['nobody’s', {}, /nobody knows who pushed this image.*landfall trigger does with LANDFALL_TOKEN/],
      ['claimed', { actor: 'somebody', source: 'quay' }, /that somebody pushed this image is only claimed, by way of quay/],
      ['half', { actor: 'x', proven: { by: 'forge', fields: ['commit'] } }, /that x pushed this image is only claimed/],
      ['elsewhere', { actor: 'x', proven: { by: 'token', fields: ['actor'] } }, /nobody knows which operator that is/],
      ['typed', { trigger: { by: 'mallory' } }, /that mallory pushed this image is only claimed/],
    ] as const) {
      const unknown = await begin(plan, word, push);
      await until(unknown, 'waiting');
      for (const by of ['ann', 'bob', 'cleo']) await refused(unknown, by, why);
      await unknown.executeUpdate('abort', { args: [{ by: 'ann' }] });
      await result(unknown);
    }
  });

  it('is not approved by who triggered it, which their token proves and nothing else does', async () => {
    const asked: ProofInput[] = [];
    await work({
      async whoDecided(input) {
        asked.push(input);
        const { by = '', proof } = input.decision;
        if (proof !== undefined && proof !== `proof of ${by}`) throw ApplicationFailure.nonRetryable('no', 'DecisionRefused');
        return { by, verified: proof !== undefined };
      },
    });
    const four = approval({ selfApproval: false });
    const plan = aPlan([stageOf('production', { ...delivered, approval: four })]);
    const problem = async (handle: WorkflowHandle, by: string): Promise<string> => {
      try {
        await approve(handle, { by });
        return 'approved';
      } catch (error) {
        return String(error instanceof WorkflowUpdateFailedError && error.cause?.message);
      }
    };
    const trigger = { by: 'ann', proof: 'proof of ann' };
    const handle = await begin(plan, 'triggered', { trigger }, true);
    await until(handle, 'waiting');
    assert.equal(asked[0]?.rollout, `trigger:${plan.service}:${plan.repository}:latest`);
    assert.match(asked[0].runId, /^delivery-1 20/);
    assert.match(await problem(handle, 'ann'), /^ann triggered this image: production may not be approved/);
    assert.equal(await problem(handle, 'bob'), 'approved');
    await result(handle);
    const old = new Date(Date.now() - 2 * 3_600_000).toISOString();
    for (const [word, push] of [
      ['forged', { trigger: { by: 'ann', proof: 'made up' } }],
      ['from a history', { trigger, receivedAt: old }],
    ] as const) {
      const claimed = await begin(plan, word, push, true);
      await until(claimed, 'waiting');
      assert.match(await problem(claimed, 'bob'), /that ann pushed this image is only claimed/);
      await claimed.executeUpdate('abort', { args: [{ by: 'ann' }] });
      await result(claimed);
    }
  });

  it('expires where nobody may approve it in time', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval({ selfApproval: false, withinMs: 3_000 }) })]);
    const state = await result(await begin(plan, 'nobody’s'));
    assert.equal(state.status, 'expired');
    assert.match(state.reason ?? '', /production got 0 of 1 approvals within 3 seconds/);
  });

  it('goes on when a person merges, and ends rejected, naming them, when a person closes the pull request', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, merge: 'manual' })]);
    const branch = `landfall/${plan.service}-production`;
    const handle = await begin(plan, 'by hand');
    await until(handle, 'waiting');
    assert.deepEqual(world.stage(plan, 'production').log, []);
    world.mergedByHand.set(branch, 'octocat');
    await handle.signal(progressSignal, { what: 'pull_request closed' });
    const state = await result(handle);
    assert.equal(state.status, 'delivered', state.reason);
    assert.match(state.steps.find(({ step }) => step === 'merge')?.reason ?? '', /merged by octocat/);
    world.mergedByHand.clear();
    world.closed.set(branch, 'grace');
    const closed = await result(await begin(plan, 'closed'));
    assert.equal(closed.status, 'rejected');
    assert.match(closed.reason ?? '', /was closed by grace/);
  });

  it('brings back what ran when a person merged, and not what ran when it was proposed', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, merge: 'manual' })]);
    const { containers } = world.stage(plan, 'production');
    containers.set('web', digestOf('then'));
    world.bad.add(digestOf('ill'));
    const handle = await begin(plan, 'ill');
    await until(handle, 'waiting');
    containers.set('web', digestOf('mended by hand'));
    world.mergedByHand.set(`landfall/${plan.service}-production`, 'octocat');
    await handle.signal(progressSignal, { what: 'pull_request closed' });
    const state = await result(handle);
    assert.equal(state.status, 'rolled-back', state.reason);
    assert.deepEqual([...containers.values()], [digestOf('mended by hand')]);
  });

  it('is blocked by a failing required check, which it names, and goes on after a retry', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    const branch = `landfall/${plan.service}-production`;
    world.failing.set(branch, ['build / test']);
    const handle = await begin(plan, 'failing');
    const state = await until(handle, 'blocked');
    assert.match(state.reason ?? '', /build \/ test/);
    assert.equal(state.steps.find(({ step }) => step === 'merge')?.failure, 'CheckFailed');
    world.failing.clear();
    await handle.executeUpdate('retry', { args: [{ by: 'ann', step: 'merge' }] });
    assert.equal((await result(handle)).status, 'delivered');
  });

  it('delivers the last of ten pushes and never changes a stage twice at once', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    const words = Array.from({ length: 10 }, (_, index) => `push ${index}`);
    const handles = [];
    for (const word of words) handles.push(await begin(plan, word));
    const states = await Promise.all(handles.map(result));
    assert.equal(states.at(-1)?.status, 'delivered', states.at(-1)?.reason);
    const stage = world.stage(plan, 'production');
    assert.equal(stage.mostAtOnce, 1);
    assert.equal(stage.containers.get('web'), digestOf('push 9'));
    for (const state of states.slice(0, -1)) assert.ok(['superseded', 'delivered'].includes(state.status), state.status);
  });

  it('is held back by the lane, shows by whom, and goes on when it is released', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await begin(plan, 'before the hold'));
    const service = temporal.client.workflow.getHandle(laneId(plan.service));
    await service.executeUpdate('hold', { args: [{ by: 'ann', reason: 'we are being audited' }] });
    const handle = await begin(plan, 'held');
    const state = await until(handle, 'waiting');
    assert.match(state.reason ?? '', /held.*ann.*we are being audited/);
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('before the hold'));
    await service.executeUpdate('release', { args: [{ by: 'ann' }] });
    assert.equal((await result(handle)).status, 'delivered');
  });

  it('waits outside of its windows, says until when, and goes on when one opens', async () => {
    await work();
    const opensAt = new Date(Date.now() + 4_000);
    const start = `${opensAt.toISOString().replace(/[-:]|\.\d+Z$/g, '')}`;
    const recurrence = `DTSTART:${start}\nRRULE:FREQ=DAILY`;
    const windows = [{ kind: 'allow', timezone: 'UTC', reason: 'at night only', recurrence, durationMs: 3_600_000 }] as const;
    const plan = aPlan([stageOf('production', { ...delivered, windows })]);
    const handle = await begin(plan, 'windowed');
    const state = await until(handle, 'waiting');
    assert.match(state.reason ?? '', new RegExp(`until ${opensAt.toISOString().slice(0, 19)}`));
    assert.deepEqual(world.stage(plan, 'production').log, []);
    assert.equal((await result(handle)).status, 'delivered');
    assert.ok(Date.now() >= Math.floor(opensAt.getTime() / 1000) * 1000);
  });

  it('can be undone at any time by the lane’s rollback, even while the lane is held', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await begin(plan, 'one'));
    await result(await begin(plan, 'two'));
    const service = temporal.client.workflow.getHandle(laneId(plan.service));
    await service.executeUpdate('hold', { args: [{ by: 'ann' }] });
    const { workflow } = await service.executeUpdate<{ workflow: string }, [object]>('rollback', {
      args: [{ stage: 'production', by: 'ann', reason: 'customers complain' }],
    });
    assert.equal(workflow, `rollback:${plan.service}:production:1`);
    const state = await eventually('the rollback to end', async () => {
      const description = await temporal.client.workflow
        .getHandle(workflow)
        .describe()
        .catch(() => undefined);
      if (description?.status.name !== 'COMPLETED') return undefined;
      return (await temporal.client.workflow.getHandle(workflow).result()) as RolloutState;
    });
    assert.equal(state.status, 'rolled-back', state.reason);
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('one'));
    const { quarantine, stages } = await lane(plan);
    assert.ok(quarantine[digestOf('two')]);
    assert.equal(stages.production?.running?.digest, digestOf('one'));
  });

  it('brings an earlier digest back when it is promoted', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await begin(plan, 'early'));
    await result(await begin(plan, 'late'));
    const service = temporal.client.workflow.getHandle(laneId(plan.service));
    const { workflow } = await service.executeUpdate<{ workflow: string }, [object]>('promote', {
      args: [{ stage: 'production', digest: digestOf('early'), by: 'ann' }],
    });
    const state = await eventually('the promotion to end', async () => {
      const now = await lane(plan);
      return (
        now.stages.production?.running?.digest === digestOf('early') && temporal.client.workflow.getHandle(workflow).result()
      );
    });
    assert.equal((state as RolloutState).status, 'delivered', (state as RolloutState).reason);
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('early'));
  });

  it('replays every step with the workflow cache off', async function () {
    // A workflow task that a busy machine does too late comes again after ten seconds, and here there are many.
    this.timeout(180_000);
    await work({}, { maxCachedWorkflows: 0 });
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval() })]);
    world.stage(plan, 'production').containers.set('web', digestOf('old'));
    world.bad.add(digestOf('uncached'));
    const handle = await begin(plan, 'uncached');
    await reached(handle, 'waiting');
    await approve(handle, { by: 'ann' });
    assert.equal((await result(handle)).status, 'rolled-back');
  });
});
