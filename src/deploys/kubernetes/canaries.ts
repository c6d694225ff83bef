import { concurrently } from '../../domain/concurrently.ts';
import type { Deployed } from '../../domain/outcomes.ts';
import { refused } from '../kit/refusals.ts';
import { startCanary } from './canary.ts';
import { FailedRunning } from './readiness.ts';
import { removeCanaries } from './rollback.ts';
import { digestsOf, expectedOf, type KubernetesRollout, type PlannedRollout, tryAll, writesAtOnce } from './rollout.ts';
import { wantedReference } from './targets.ts';

/** The first part of a deploy with a canary: nothing but one pod of each Deployment. */
export async function deployCanaries(rollout: KubernetesRollout, { targets, changes }: PlannedRollout): Promise<Deployed> {
  const { target } = rollout;
  const digests = digestsOf(target.image);
  const wanted = changes.flatMap((change) => {
    const of = targets.find(({ workload }) => workload === change.workload);
    if (of === undefined) return [];
    const images = Object.fromEntries(of.containers.map((container) => [container, wantedReference(target)]));
    return [{ change, images, expected: expectedOf(of, () => digests) }];
  });
  const other = wanted.find(({ change }) => change.workload.kind !== 'Deployment');
  if (other !== undefined)
    throw refused(
      `expected Deployments alone beside deploy.kubernetes.canary, found ${other.expected.name}: leave canary out, its pods are replaced one by one`,
    );
  await tryAll(rollout, changes);
  const running = await concurrently(wanted, writesAtOnce, ({ images, expected }) =>
    startCanary(rollout, expected, images, target.rollout),
  ).catch(async (error: unknown) => {
    if (!(error instanceof FailedRunning) || error.isOfImage) throw error;
    await removeCanaries(rollout, targets);
    throw refused(`${error.message}; nothing else was changed`, error, error.details);
  });
  const names = wanted.map(({ expected }) => expected.name);
  const text = names.length === 0 ? 'all have the image already' : `one pod of ${names.join(', ')} runs the digest`;
  return { kind: 'deployed', changed: names.length > 0, running: running.flat(), text };
}
