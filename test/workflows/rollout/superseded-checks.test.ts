import assert from 'node:assert/strict';
import { createChecks } from '../../../src/activities/check.ts';
import { createAskSuperseded } from '../../../src/activities/superseded.ts';
import type { Check } from '../../../src/checks/check.ts';
import type { CheckInput } from '../../../src/contracts/activities/checks.ts';
import type { CheckPlan } from '../../../src/domain/plan.ts';
import type { TagPolicy } from '../../../src/domain/tag-policy.ts';
import { runActivity } from '../../support/activity.ts';
import { passes } from '../../support/fake-activities.ts';
import { imageOf, planOf, verifiedOf } from '../../support/plans.ts';
import { eventually } from '../../support/wait.ts';
import { workflowTests } from '../../support/workflow-tests.ts';

const versions: TagPolicy = { kind: 'semver', range: '*' };
const scan: CheckPlan = { kind: 'scan', title: 'Scanned', after: [], timeoutMs: 600_000, needsDocker: true, settings: {} };

describe('checks of images that come faster than they are checked', function () {
  this.timeout(60_000);
  const tests = workflowTests('crowded', { maxConcurrentActivityTaskExecutions: 1 });

  it('are begun for the newest alone, and go on where they had begun', async () => {
    const begun: string[] = [];
    const finish = new Map<string, () => void>();
    const check: Check = {
      async check({ image: { tag } }) {
        begun.push(tag);
        await new Promise<void>((resolve) => finish.set(tag, resolve));
        return passes();
      },
    };
    const { client } = tests.temporal;
    const { 'check:scan': activity } = createChecks({ checks: new Map([['scan', check]]), client });
    assert.ok(activity);
    await tests.work({ 'check:scan': activity });
    const plan = tests.aPlan({ tags: versions, checks: [scan] });
    const start = (tag: string) => tests.start(plan, tag, { tag });
    const untilScanned = (tag: string) => eventually(`the scan of ${tag}`, async () => begun.includes(tag));

    const first = await start('1.0.0');
    await untilScanned('1.0.0');
    // The newest comes first, and the oldest last: pushes come in any order.
    const newest = await start('1.0.4');
    await tests.when(newest, 'to be verified', ({ steps }) => steps.some(({ step }) => step === 'scan'));
    const older = await Promise.all(['1.0.1', '1.0.3', '1.0.2'].map(start));
    for (const handle of older)
      await tests.when(handle, 'to be verified', ({ steps }) => steps.some(({ step }) => step === 'scan'));
    finish.get('1.0.0')?.();
    await untilScanned('1.0.4');
    assert.equal((await tests.result(first)).status, 'proposed');
    finish.get('1.0.4')?.();
    assert.equal((await tests.result(newest)).status, 'proposed');
    for (const handle of older) {
      const { status, reason } = await tests.result(handle);
      assert.equal(status, 'superseded');
      assert.match(String(reason), /^by rollout:crowded-1:1\.0\.4:\w+, before it was checked$/);
    }
    assert.deepEqual(begun, ['1.0.0', '1.0.4']);
  });

  it('are begun for a superseded one once nothing else was checked for two minutes, and then all of its checks', async () => {
    let now = 0;
    const ask = createAskSuperseded(tests.temporal.client, () => now);
    const plan = planOf({ service: 'busy' });
    const image = verifiedOf(imageOf(plan, 'one'));
    const asked = (run: string, input: Partial<CheckInput>) =>
      runActivity(
        (given: CheckInput) => ask(given),
        { plan, image, ...input },
        { workflowExecution: { workflowId: 'rollout:busy', runId: run } },
      );
    const superseded = { supersededBy: 'rollout:busy:2' };
    assert.deepEqual(await asked('a', superseded), { kind: 'superseded', by: 'rollout:busy:2' });
    now = 119_000;
    assert.deepEqual(await asked('b', superseded), { kind: 'superseded', by: 'rollout:busy:2' });
    now = 121_000;
    assert.equal(await asked('c', superseded), undefined);
    assert.equal(await asked('c', superseded), undefined, 'its other check');
    assert.deepEqual(await asked('d', superseded), { kind: 'superseded', by: 'rollout:busy:2' });
    assert.equal(await asked('e', {}), undefined, 'one that nothing goes before');
    now = 242_000;
    assert.deepEqual(await asked('f', superseded), { kind: 'superseded', by: 'rollout:busy:2' }, 'since e was begun');
  });
});
