import { CancellationScope, sleep } from '@temporalio/workflow';
import { isByDigest } from '../../../contracts/messages.ts';
import type { CheckResult, VerifiedImage } from '../../../domain/outcomes.ts';
import type { CheckPlan } from '../../../domain/plan.ts';
import { endRollout } from '../record.ts';
import { network, runCheck } from './proxies.ts';
import { type RolloutContext, type StageRun, takeStep } from './take-step.ts';

/** How often, and after which pause, a registry is asked again that still names an older image. */
const staleLooks = 2;
const staleLookPause = '4s';

export async function verify(run: RolloutContext): Promise<VerifiedImage> {
  const { plan, image, promotion, named } = run.start;
  for (let looks = 1; ; looks += 1) {
    const input = { plan, image, ...(promotion !== undefined && { byDigest: true }), ...(named && { named }) };
    const outcome = await takeStep(run, { step: 'verify' }, () => network.verify(input));
    if (outcome.kind === 'skipped') return endRollout({ end: 'rejected', reason: 'not verified' });
    if (outcome.kind === 'verified') {
      run.record.identify(outcome.image);
      run.lane.tagIs = outcome.tagIs;
      return outcome.image;
    }
    // A registry that is not consistent yet still names what was pushed before; one that has moved on names something new.
    if (outcome.digest !== run.lane.newest || looks > staleLooks) return endMoved(image.tag, outcome.digest);
    await sleep(staleLookPause);
  }
}

/** Is the image still what its tag is? Between the checks and the turn, hours may have gone by. */
export async function confirm(run: StageRun): Promise<void> {
  const { start, image } = run;
  if (isByDigest(start)) return;
  const outcome = await takeStep(run, run.at('confirm'), () => network.confirm({ plan: start.plan, image }));
  if (outcome.kind === 'moved') endMoved(image.tag, outcome.digest);
}

function endMoved(tag: string, digest: string): never {
  return endRollout({ end: 'superseded', reason: `${tag} is ${digest} by now`, moved: true });
}

/**
 * Checks run side by side, in a scope of their own. One that waits for others begins only once all of those have let the image through. When
 * one ends the rollout, the others are cancelled, and their clean-up is waited for.
 */
export async function check(run: RolloutContext, image: VerifiedImage): Promise<CheckResult[]> {
  const { plan } = run.start;
  const scope = new CancellationScope();
  return await scope.run(async () => {
    const begun = new Map<string, Promise<CheckResult>>();
    for (const planned of plan.checks) {
      const { kind, title } = planned;
      const take = () => takeStep(run, { step: kind }, () => checkUnlessSuperseded(run, planned, image));
      const before = Promise.all(planned.after.map((other) => begun.get(other)));
      const result = before.then(async () => ({ kind, title, outcome: await take() }));
      begun.set(kind, result);
    }
    const running = [...begun.values()];
    const all = Promise.all(running);
    await all.catch(() => scope.cancel());
    await Promise.allSettled(running);
    return await all;
  });
}

/** Where a newer image of the service goes first, the worker does not begin the check: see src/activities/superseded.ts. */
async function checkUnlessSuperseded({ start, lane }: RolloutContext, planned: CheckPlan, image: VerifiedImage) {
  const supersededBy = lane.supersededIn(undefined);
  const outcome = await runCheck(planned, { plan: start.plan, image, ...(supersededBy !== undefined && { supersededBy }) });
  if (outcome.kind !== 'superseded') return outcome;
  return endRollout({ end: 'superseded', reason: `by ${outcome.by}, before it was checked` });
}
