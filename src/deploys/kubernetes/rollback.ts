import { isDeepStrictEqual } from 'node:util';
import { Refusal } from '../../domain/failures.ts';
import { type Digest, tryParseReference } from '../../domain/image-reference.ts';
import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import { containersOf } from '../../platform/kubernetes/objects.ts';
import type { Workload } from '../../platform/kubernetes/workloads.ts';
import { failed, refused } from '../kit/refusals.ts';
import { removeCanary } from './canary.ts';
import { FailedRunning, waitUntilRunning } from './readiness.ts';
import { requireChangeable } from './refusals.ts';
import {
  asWritten,
  changesReference,
  containersByName,
  describeRollout,
  expectedOf,
  findAgain,
  type KubernetesRollout,
  writeAll,
} from './rollout.ts';
import { containerIn, runningImages, type WorkloadTarget, wantedReference } from './targets.ts';
import { pinnedReference, previousOf, type WorkloadChange } from './write.ts';

/**
 * Brings back what the snapshot found. The registry is asked by nobody but the nodes.
 * @throws Refusal `NothingBefore`, `DeployRefused`, `DeployFailed`
 */
export async function rollBackWorkloads(rollout: KubernetesRollout, before: readonly RunningImage[]): Promise<Deployed> {
  const { client, target, signal } = rollout;
  if (before.length === 0) {
    const message = `nobody knows what ${target.stage.name} of ${target.plan.service} ran before: deploy what it should run`;
    throw new Refusal('NothingBefore', message);
  }
  const ran = new Map(before.map((image) => [image.name, image]));
  const meant = new Map([...Map.groupBy(before, workloadIn)].map(([name, images]) => [name, images.map(containerIn)]));
  const targets = await findAgain(rollout, meant);
  const changes = targets.flatMap(({ workload, name, containers }) => {
    const found = containers.flatMap((container) => ran.get(`${name}/${container}`) ?? []);
    const images = Object.fromEntries(found.map((image) => [containerIn(image), pinnedReference(image)]));
    const known = found.map(({ reference }) => reference);
    return changesReference(workload, images) ? [backTo(rollout, workload, images, known)] : [];
  });
  for (const { workload } of changes) requireChangeable(workload, false);
  const written = await writeAll(rollout, changes);
  await removeCanaries(rollout, targets);
  const expected = asWritten(targets, written).map((each) =>
    expectedOf(each, (container) => {
      const digest = digestOf(ran.get(`${each.name}/${container}`));
      return digest === undefined ? undefined : [digest];
    }),
  );
  const proven = await waitUntilRunning(rollout, expected).catch((error: unknown) => {
    throw error instanceof FailedRunning ? failed(`what ran before did not come back: ${error.message}`, [], error) : error;
  });
  const running = await runningImages(client, await findAgain(rollout, meant), signal);
  const changed = changes.length > 0;
  return { kind: 'deployed', changed, running, text: describeRollout(targets, changed, proven) };
}

/** What the cluster is to blame for does not make the image a bad one: what was before is put back, and it may be tried again. */
export async function orPutBack<Result>(
  rollout: KubernetesRollout,
  targets: readonly WorkloadTarget[],
  wait: () => Promise<Result>,
): Promise<Result> {
  try {
    return await wait();
  } catch (error) {
    if (!(error instanceof FailedRunning) || error.isOfImage) throw error;
    const now = await findAgain(rollout, containersByName(targets));
    const changes = now.flatMap(({ workload }) => {
      const previous = previousOf(workload);
      const isOurs = previous?.rollout === rollout.target.rollout && Object.keys(previous.images).length > 0;
      return isOurs ? [backTo(rollout, workload, previous.images, [])] : [];
    });
    await writeAll(rollout, changes);
    await removeCanaries(rollout, now);
    throw refused(`${error.message}; the image was set back to what it was`, error, error.details);
  }
}

export async function removeCanaries(
  { client, target, signal }: KubernetesRollout,
  targets: readonly WorkloadTarget[],
): Promise<void> {
  if (target.deploy.canary) for (const { workload } of targets) await removeCanary(client, workload, signal);
}

/**
 * Written as from nobody's rollout, so that a next try of it begins anew. Where the workload has what we brought, or what we found, no change of
 * anybody is run over: whoever owned the image before we did does not keep it from going back.
 */
function backTo(
  { target }: KubernetesRollout,
  workload: Workload,
  images: Readonly<Record<string, string>>,
  found: readonly string[],
): WorkloadChange {
  const { rollout, deploy } = target;
  const pinned = Object.entries(images).flatMap(([container, image]) => (image.includes('@') ? [container] : []));
  const known = [wantedReference(target), ...found];
  const current = containersOf(workload.template).filter(({ name }) => name in images);
  const isKnown = current.every(({ image = '' }) => known.includes(image));
  const previous = { rollout: `${rollout} undone`, images: {}, pinned };
  // The very template that it was, so that pods of it that still run go on.
  const before = previousOf(workload);
  const mark = before !== undefined && isDeepStrictEqual(before.images, images) ? before.mark : rollout;
  return { workload, images, previous, mark, takeFrom: isKnown ? 'anybody' : deploy.takeFrom };
}

/** `deployment/web` of `deployment/web/app`. */
function workloadIn({ name }: RunningImage): string {
  return name.slice(0, name.lastIndexOf('/'));
}

function digestOf(image: RunningImage | undefined): Digest | undefined {
  return image?.digest ?? (image && tryParseReference(image.reference)?.digest);
}
