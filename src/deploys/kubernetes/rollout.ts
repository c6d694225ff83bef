import { concurrently } from '../../domain/concurrently.ts';
import { type Digest, tryParseReference } from '../../domain/image-reference.ts';
import type { RunningImage, VerifiedImage } from '../../domain/outcomes.ts';
import { containersOf, nameOf, referenceOf, type Workload } from '../../platform/kubernetes/workloads.ts';
import type { ExpectedPods, PodWait } from './readiness.ts';
import { requireChangeable } from './refusals.ts';
import { findTargets, type KubernetesTarget, runningImages, type WorkloadTarget, wantedReference } from './targets.ts';
import { type PreviousImages, pinnedReference, previousOf, type WorkloadChange, writeImages } from './write.ts';

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

/** Refuses what can be told to fail, and changes nothing. */
export async function planRollout({ client, target, signal }: KubernetesRollout): Promise<PlannedRollout> {
  const targets = await findTargets(client, target, signal);
  const running = await runningImages(client, targets, signal);
  const changes = targets.flatMap((each) => changeOf(each, running, target) ?? []);
  for (const { workload, images } of changes) requireChangeable(workload, Object.keys(images).length === 0);
  return { targets, changes };
}

/** Undefined where the workload has the image, and its pods run it or will. */
function changeOf(
  { workload, name, containers }: WorkloadTarget,
  all: readonly RunningImage[],
  target: KubernetesTarget,
): WorkloadChange | undefined {
  const { deploy, rollout } = target;
  const running = new Map(all.map((image) => [image.name, image]));
  const ours = containers.flatMap((container) => {
    const image = running.get(`${name}/${container}`);
    return image === undefined ? [] : [{ container, image }];
  });
  const found = Object.fromEntries(ours.map(({ container, image }) => [container, pinnedReference(image)]));
  const before = previousOf(workload);
  // An earlier try of this rollout wrote it.
  const isWritten = before?.rollout === rollout;
  const previous: PreviousImages = { rollout, images: isWritten ? before.images : found, pinned: [] };
  const images = Object.fromEntries(containers.map((container) => [container, wantedReference(target)]));
  const change = { workload, images, previous, rollout, takeFrom: deploy.takeFrom };
  if (changesReference(workload, images)) return change;
  const accepted = digestsOf(target.image);
  const runsIt = ours.every(({ image: { digest } }) => digest === undefined || accepted.includes(digest));
  if (runsIt || isWritten || deploy.pin !== 'tag') return undefined;
  // The reference stays whose it is.
  return { ...change, images: {}, restartedAt: new Date().toISOString() };
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
  const ofPlatforms = platforms.flatMap(({ digest, config }) => [digest, ...(config === undefined ? [] : [config])]);
  return [digest, ...ofPlatforms];
}

/** @param dryRun nothing is changed: what would be refused is found out */
export async function writeAll(
  { client, signal }: KubernetesRollout,
  changes: readonly WorkloadChange[],
  dryRun = false,
): Promise<Workload[]> {
  return await concurrently(changes, writesAtOnce, (change) => writeImages(client, change, { dryRun, signal }));
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
