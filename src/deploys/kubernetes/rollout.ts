import { setTimeout as pause } from 'node:timers/promises';
import { concurrently } from '../../domain/concurrently.ts';
import { type Digest, tryParseReference } from '../../domain/image-reference.ts';
import type { VerifiedImage } from '../../domain/outcomes.ts';
import { containersOf, type Pod } from '../../platform/kubernetes/objects.ts';
import { runningDigest, statusesOf } from '../../platform/kubernetes/pods.ts';
import { progressOf } from '../../platform/kubernetes/progress.ts';
import { isOfTemplate, nameOf, podsOf, referenceOf, type Workload } from '../../platform/kubernetes/workloads.ts';
import { digestsOf as digestsOfPlatform } from '../../platform/registry/same-image.ts';
import type { ExpectedPods, PodWait } from './readiness.ts';
import { requireChangeable } from './refusals.ts';
import {
  containerIn,
  findTargets,
  imagesOf,
  type KubernetesTarget,
  type WorkloadTarget,
  wantedReference,
  workloadsOf,
} from './targets.ts';
import { markOf, type PreviousImages, pinnedReference, previousOf, type WorkloadChange, writeImages } from './write.ts';

/** One deploy, or rollback, of one stage. */
export interface KubernetesRollout extends PodWait {
  readonly target: KubernetesTarget;
}

export interface PlannedRollout {
  readonly targets: readonly WorkloadTarget[];
  readonly changes: readonly WorkloadChange[];
}

/** Workloads that are written at once; the client keeps its pace. */
export const writesAtOnce = 8;

/** Pods that are being made say before long what they run. */
const knownWithinMs = 15_000;
const lookMs = 1_000;

/**
 * Refuses what can be told to fail, and changes nothing.
 * @param waits where somebody else has just restarted a workload, for what its pods run then: it may be the image already
 */
export async function planRollout(rollout: KubernetesRollout, waits = false): Promise<PlannedRollout> {
  const { client, target, signal } = rollout;
  const until = Date.now() + (waits ? knownWithinMs : 0);
  for (;;) {
    const targets = await findTargets(client, target, signal);
    const pods = await podsOf(client, workloadsOf(targets), signal);
    const found = targets.map((each) => changeOf(each, pods.get(each.workload) ?? [], target));
    const changes = found.flatMap((each) => each?.change ?? []);
    if (Date.now() < until && found.some((each) => each?.isGuessed)) {
      await pause(lookMs, undefined, { signal });
      continue;
    }
    for (const { workload, images } of changes) requireChangeable(workload, Object.keys(images).length === 0);
    return { targets, changes };
  }
}

/** Undefined where the workload has the image, and its pods run it or will. `isGuessed`: its pods do not say what they run yet. */
function changeOf(
  of: WorkloadTarget,
  pods: readonly Pod[],
  target: KubernetesTarget,
): { readonly change: WorkloadChange; readonly isGuessed: boolean } | undefined {
  const { workload, containers } = of;
  const { deploy, rollout } = target;
  const found = Object.fromEntries(imagesOf(of, pods).map((image) => [containerIn(image), pinnedReference(image)]));
  const before = previousOf(workload);
  // An earlier try of this rollout wrote it.
  const isWritten = before?.rollout === rollout;
  const mark = isWritten ? before.mark : markOf(workload);
  const previous: PreviousImages = {
    rollout,
    images: isWritten ? before.images : found,
    pinned: [],
    ...(mark !== undefined && { mark }),
  };
  const images = Object.fromEntries(containers.map((container) => [container, wantedReference(target)]));
  const change = { workload, images, previous, mark: rollout, takeFrom: deploy.takeFrom };
  if (changesReference(workload, images)) return { change, isGuessed: false };
  if (isWritten || deploy.pin !== 'tag') return undefined;
  const runsIt = templateRuns(of, pods, digestsOf(target.image));
  if (runsIt === true) return undefined;
  // The reference stays whose it is.
  return { change: { ...change, images: {}, restartedAt: new Date().toISOString() }, isGuessed: runsIt === undefined };
}

/**
 * Whether the pods of a workload's template run one of these, as they do where somebody has restarted it since the tag was moved. Undefined: they
 * are being made, and nobody can tell.
 */
function templateRuns({ workload, containers }: WorkloadTarget, pods: readonly Pod[], accepted: readonly Digest[]) {
  const statuses = pods.filter((pod) => isOfTemplate(pod, workload.template)).flatMap(statusesOf);
  const digests = containers.map((name) =>
    statuses.filter((status) => status.name === name).flatMap((status) => runningDigest(status) ?? []),
  );
  if (digests.flat().some((digest) => !accepted.includes(digest))) return false;
  if (digests.every(({ length }) => length > 0) || progressOf(workload).isDone) return true;
  return undefined;
}

export function changesReference({ template }: Workload, images: Readonly<Record<string, string>>): boolean {
  return containersOf(template).some((container) => {
    const wanted = images[container.name];
    if (wanted === undefined || container.image === wanted) return false;
    const [parsed, other] = [referenceOf(container), tryParseReference(wanted)];
    return JSON.stringify(parsed) !== JSON.stringify(other);
  });
}

/** By which a pod may call the image: the index, the manifest of its platform, and what a runtime calls an image by itself. */
export function digestsOf({ digest, platforms }: VerifiedImage): Digest[] {
  return [digest, ...platforms.flatMap(digestsOfPlatform)];
}

export async function writeAll({ client, signal }: KubernetesRollout, changes: readonly WorkloadChange[]): Promise<Workload[]> {
  return await concurrently(changes, writesAtOnce, (change) => writeImages(client, change, { signal }));
}

/** Nothing is changed: what would be refused is found out. Of restarts one of a kind and namespace tells of all, because only a right can be missing. */
export async function tryAll({ client, signal }: KubernetesRollout, changes: readonly WorkloadChange[]): Promise<void> {
  const groups = Map.groupBy(changes, ({ workload: { kind, namespace, name }, restartedAt }) =>
    [kind, namespace, ...(restartedAt === undefined ? [name] : [])].join(' '),
  );
  const firsts = [...groups.values()].flatMap(([first]) => first ?? []);
  await concurrently(firsts, writesAtOnce, (change) => writeImages(client, change, { dryRun: true, signal }));
}

/** The targets as the API server has them after it took the changes. */
export function asWritten(targets: readonly WorkloadTarget[], written: readonly Workload[]): WorkloadTarget[] {
  const now = new Map(written.map((workload) => [`${workload.kind} ${nameOf(workload, true)}`, workload]));
  return targets.map((target) => {
    const { workload } = target;
    return { ...target, workload: now.get(`${workload.kind} ${nameOf(workload, true)}`) ?? workload };
  });
}

/** The same workloads as they are now: what is searched for by its image may have another one. */
export async function findAgain(
  { client, target, signal }: KubernetesRollout,
  containers: ReadonlyMap<string, readonly string[]>,
): Promise<WorkloadTarget[]> {
  const byRepository = {
    ...target.deploy,
    ...('image' in target.deploy.workloads && { workloads: { image: 'repository' as const } }),
  };
  const found = await findTargets(client, { ...target, deploy: byRepository }, signal);
  return found.flatMap((each) => {
    const ours = each.containers.filter((container) => containers.get(each.name)?.includes(container));
    return ours.length === 0 ? [] : [{ ...each, containers: ours }];
  });
}

export function containersByName(targets: readonly WorkloadTarget[]): Map<string, readonly string[]> {
  return new Map(targets.map(({ name, containers }) => [name, containers]));
}

/** @param digestsFor absent: nobody knows what it is to run */
export function expectedOf(
  { workload, name, containers }: WorkloadTarget,
  digestsFor: (container: string) => readonly Digest[] | undefined,
): ExpectedPods {
  const images = containersOf(workload.template).flatMap(({ name, image = '' }) =>
    containers.includes(name) ? [[name, image]] : [],
  );
  const digests = containers.map((container) => [container, digestsFor(container)]);
  return { workload, name, images: Object.fromEntries(images), digests: Object.fromEntries(digests) };
}

export function describeRollout(targets: readonly WorkloadTarget[], changed: boolean, proven: number): string {
  const names = targets.slice(0, 5).map(({ name }) => name);
  const more = targets.length > names.length ? ` and ${targets.length - names.length} more` : '';
  const pods = proven === 0 ? 'no pod runs, so none proves it' : `${proven} ${proven === 1 ? 'pod runs' : 'pods run'} the digest`;
  return `${changed ? 'set' : 'already had'} ${names.join(', ')}${more}; ${pods}`;
}
