import { CancellationScope, sleep } from '@temporalio/workflow';
import type {
  CheckResults,
  IntegrationSummary,
  ScanSummary,
  Skipped,
  SmokeSummary,
  VerifiedImage,
} from '../../../domain/outcomes.ts';
import type { RolloutContext } from '../context.ts';
import { endRollout } from '../ending.ts';
import { containerTests, network, scanImage } from './proxies.ts';
import { takeStep } from './take-step.ts';

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

export function endMoved(tag: string, digest: string): never {
  return endRollout({ end: 'superseded', reason: `${tag} is ${digest} by now`, moved: true });
}

/** Scan and smoke test side by side, and then, with what they let through, the integration check. */
export async function check(run: RolloutContext, image: VerifiedImage): Promise<CheckResults> {
  const [scanned, smoked] = await beside(
    () => scan(run, image),
    () => smoke(run, image),
  );
  const integrated = await integrate(run, image);
  return {
    ...(scanned && { scan: scanned }),
    ...(smoked && { smoke: smoked }),
    ...(integrated && { integration: integrated }),
  };
}

async function scan(run: RolloutContext, image: VerifiedImage): Promise<ScanSummary | Skipped | undefined> {
  const { plan } = run.start;
  if (plan.scan === undefined) return undefined;
  return await takeStep(run, { step: 'scan' }, () => scanImage({ plan, image }));
}

async function smoke(run: RolloutContext, image: VerifiedImage): Promise<SmokeSummary | Skipped | undefined> {
  const { plan } = run.start;
  if (plan.smoke === undefined) return undefined;
  const tests = containerTests(plan.smoke.timeoutMs);
  return await takeStep(run, { step: 'smoke' }, () => tests.smoke({ plan, image }));
}

async function integrate(run: RolloutContext, image: VerifiedImage): Promise<IntegrationSummary | Skipped | undefined> {
  const { plan } = run.start;
  if (plan.integration === undefined) return undefined;
  const tests = containerTests(plan.integration.timeoutMs);
  return await takeStep(run, { step: 'integration' }, () => tests.integrate({ plan, image }));
}

/**
 * Both side by side, in a scope of their own. When one ends the rollout, the other is cancelled, and its clean-up is waited for.
 */
async function beside<A, B>(first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  const scope = new CancellationScope();
  return await scope.run(async () => {
    const running = [first(), second()] as const;
    const both = Promise.all(running);
    await both.catch(() => scope.cancel());
    await Promise.allSettled(running);
    return await both;
  });
}
