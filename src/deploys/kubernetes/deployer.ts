import { concurrently } from '../../domain/concurrently.ts';
import { Refusal } from '../../domain/failures.ts';
import { type Digest, isDigest, tryParseReference } from '../../domain/image-reference.ts';
import type { Deployed, RunningImage, VerifiedImage } from '../../domain/outcomes.ts';
import { containersOf, referenceOf, type Workload } from '../../platform/kubernetes/workloads.ts';
import type { DeployContext, Deployer, Foreseeing, Work } from '../deploy.ts';
import { failed, refused } from '../kit/refusals.ts';
import { removeCanary, startCanary } from './canary.ts';
import { canaryParts } from './index.ts';
import { type Expected, FailedRunning, type PodWait, waitUntilRunning } from './readiness.ts';
import { requireChangeable } from './refusals.ts';
import {
  findTargets,
  type KubernetesDeployPlan,
  type KubernetesTarget,
  runningImages,
  type WorkloadTarget,
  wantedReference,
} from './targets.ts';
import { type PreviousImages, pinnedReference, previousOf, type WorkloadChange, writeImages } from './write.ts';

type Options = Pick<DeployContext, 'clusters' | 'log'>;

/** Workloads that are written at once; the client keeps its pace. */
const writesAtOnce = 8;

/**
 * `deploy: kubernetes`. What is written is the image alone, by server-side apply, so that the cluster knows which field is whose. Proven is it by
 * the pods: each says which digest it runs.
 */
export function createKubernetesDeployer({ clusters, log }: Options): Deployer<KubernetesDeployPlan> {
  const begin = async (target: KubernetesTarget, { signal }: Foreseeing): Promise<Rollout> => {
    const client = await clusters(target.deploy.context);
    const { restarts, timeoutMs } = target.deploy;
    return { target, client, log, restarts, timeoutMs, signal };
  };
  return {
    async running(target) {
      const rollout = await begin(target, { signal: AbortSignal.timeout(target.deploy.timeoutMs) });
      return await runningImages(rollout.client, await findTargets(rollout.client, target, rollout.signal), rollout.signal);
    },
    async foresee(target, foreseeing) {
      const rollout = await begin(target, foreseeing);
      await writeAll(rollout, (await plan(rollout)).changes, true);
      return undefined;
    },
    deploy: async (target, work) => deploy(await begin(target, work), work),
    restore: async (target, before, work) => restore(await begin(target, work), before),
    async settle(target) {
      const rollout = await begin(target, { signal: AbortSignal.timeout(target.deploy.timeoutMs) });
      if (target.deploy.canary === undefined) return;
      const targets = await findTargets(rollout.client, target, rollout.signal);
      for (const { workload } of targets) await removeCanary(rollout.client, workload, rollout.signal);
    },
  };
}

/** One deploy, or rollback, of one stage. */
interface Rollout extends PodWait {
  readonly target: KubernetesTarget;
}

interface Planned {
  readonly targets: readonly WorkloadTarget[];
  /** What ran before. */
  readonly running: readonly RunningImage[];
  readonly changes: readonly WorkloadChange[];
}

/** Refuses what can be told to fail, and changes nothing. */
async function plan(rollout: Rollout): Promise<Planned> {
  const { client, target, signal } = rollout;
  const targets = await findTargets(client, target, signal);
  const running = await runningImages(client, targets, signal);
  const changes = targets.flatMap((each) => changeOf(each, running, target) ?? []);
  for (const { workload, images } of changes) requireChangeable(workload, !changesReference(workload, images));
  return { targets, running, changes };
}

/** Undefined where the workload has the image, and its pods run it or will. */
function changeOf(
  { workload, name, containers }: WorkloadTarget,
  running: readonly RunningImage[],
  target: KubernetesTarget,
): WorkloadChange | undefined {
  const wanted = wantedReference(target);
  const images = Object.fromEntries(containers.map((container) => [container, wanted]));
  const before = previousOf(workload);
  // An earlier try of this rollout wrote it.
  const isWritten = before?.rollout === target.rollout;
  const previous: PreviousImages = isWritten
    ? { ...before, pinned: [] }
    : {
        rollout: target.rollout,
        images: Object.fromEntries(
          containers.flatMap((container) => {
            const image = running.find((each) => each.name === `${name}/${container}`);
            return image === undefined ? [] : [[container, pinnedReference(image)]];
          }),
        ),
        pinned: [],
      };
  const change = { workload, images, previous, rollout: target.rollout };
  if (changesReference(workload, images)) return change;
  if (isWritten || target.deploy.pin !== 'tag') return undefined;
  const ours = running.filter((each) => containers.some((container) => each.name === `${name}/${container}`));
  const accepted = digestsOf(target.image);
  const runsIt = ours.every(({ digest }) => digest === undefined || accepted.includes(digest));
  return runsIt ? undefined : { ...change, restartedAt: new Date().toISOString() };
}

function changesReference({ template }: Workload, images: Readonly<Record<string, string>>): boolean {
  return containersOf(template).some((container) => {
    const wanted = images[container.name];
    if (wanted === undefined || container.image === wanted) return false;
    const [parsed, other] = [referenceOf(container), tryParseReference(wanted)];
    return JSON.stringify(parsed) !== JSON.stringify(other);
  });
}

/** By which a pod may call the image: the index, the manifest of its platform, and what a runtime calls an image by itself. */
function digestsOf(image: VerifiedImage): Digest[] {
  return [image.digest, ...image.platforms.flatMap(({ digest, config }) => [digest, ...(config === undefined ? [] : [config])])];
}

async function writeAll(
  { client, target, signal }: Rollout,
  changes: readonly WorkloadChange[],
  dryRun = false,
): Promise<Workload[]> {
  const { takeFrom } = target.deploy;
  return await concurrently(changes, writesAtOnce, (change) => writeImages(client, change, { takeFrom, dryRun, signal }));
}

async function deploy(rollout: Rollout, { only, turn }: Pick<Work, 'only' | 'turn'>): Promise<Deployed> {
  const { client, target, signal, log } = rollout;
  const planned = await plan(rollout);
  const { targets, changes } = planned;
  if (targets.length === 0)
    return {
      kind: 'deployed',
      changed: false,
      running: [],
      text: `no workload of ${client.context.name} uses ${wantedReference(target)}`,
    };
  if (only?.includes(canaryParts.first)) return await deployCanaries(rollout, planned);
  // All or none, as far as that can be known.
  if (changes.length > 1) await writeAll(rollout, changes, true);
  const written = await writeAll(rollout, changes);
  for (const { kind, namespace, name } of written) {
    log.info(
      { workload: `${kind} ${namespace}/${name}`, rollout: target.rollout, turn, digest: target.image.digest },
      'the image of a workload was set',
    );
  }
  const digests = digestsOf(target.image);
  const expected = targets.map((each) => expectedOf(each, () => digests));
  const proven = await orPutBack(rollout, targets, () => waitUntilRunning(rollout, expected));
  if (target.deploy.canary) for (const { workload } of targets) await removeCanary(client, workload, signal);
  const running = await runningImages(client, await findAgain(rollout, targets), signal);
  const changed = changes.length > 0 || targets.some(({ workload }) => previousOf(workload)?.rollout === target.rollout);
  return { kind: 'deployed', changed, running, text: textOf(targets, changed, proven) };
}

function textOf(targets: readonly WorkloadTarget[], changed: boolean, proven: number): string {
  const names = targets.slice(0, 5).map(({ name }) => name);
  const more = targets.length > names.length ? ` and ${targets.length - names.length} more` : '';
  const pods = proven === 0 ? 'no pod runs, so none proves it' : `${proven} ${proven === 1 ? 'pod runs' : 'pods run'} the digest`;
  return `${changed ? 'set' : 'already had'} ${names.join(', ')}${more}; ${pods}`;
}

/** The same workloads as they are now: what is searched for by its image may have another one. */
async function findAgain({ client, target, signal }: Rollout, targets: readonly WorkloadTarget[]): Promise<WorkloadTarget[]> {
  const found = await findTargets(client, target, signal);
  return targets.flatMap(({ name, containers }) => {
    const now = found.find((each) => each.name === name);
    return now === undefined ? [] : [{ ...now, containers }];
  });
}

function expectedOf(
  { workload, name, containers }: WorkloadTarget,
  digestsFor: (container: string) => readonly Digest[] | undefined,
): Expected {
  return { workload, name, digests: Object.fromEntries(containers.map((container) => [container, digestsFor(container)])) };
}

/** What the cluster is to blame for does not make the image a bad one: what was before is put back, and it may be tried again. */
async function orPutBack<Result>(
  rollout: Rollout,
  targets: readonly WorkloadTarget[],
  wait: () => Promise<Result>,
): Promise<Result> {
  try {
    return await wait();
  } catch (error) {
    if (!(error instanceof FailedRunning) || error.isOfImage) throw error;
    const { client, target, signal } = rollout;
    const now = await findAgain(rollout, targets);
    const changes = now.flatMap(({ workload }) => {
      const previous = previousOf(workload);
      const isOurs = previous?.rollout === target.rollout && Object.keys(previous.images).length > 0;
      return isOurs ? [backTo(workload, previous.images, target.rollout)] : [];
    });
    await writeAll(rollout, changes);
    for (const { workload } of now) if (target.deploy.canary) await removeCanary(client, workload, signal);
    throw refused(`${error.message}; the image was set back to what it was`, error, error.details);
  }
}

/** Back to what was: written as from nobody's rollout, so that a next try of it begins anew. */
function backTo(workload: Workload, images: Readonly<Record<string, string>>, rollout: string): WorkloadChange {
  const pinned = Object.entries(images).flatMap(([container, image]) => (image.includes('@') ? [container] : []));
  return { workload, images, previous: { rollout: `${rollout} undone`, images: {}, pinned }, rollout };
}

async function deployCanaries(rollout: Rollout, { targets, changes }: Planned): Promise<Deployed> {
  const { target } = rollout;
  const digests = digestsOf(target.image);
  const wanted = changes.flatMap((change) => {
    const of = targets.find(({ workload }) => workload === change.workload);
    return of === undefined ? [] : [{ change, expected: expectedOf(of, () => digests) }];
  });
  const others = wanted.find(({ change }) => change.workload.kind !== 'Deployment');
  if (others !== undefined)
    throw refused(
      `expected Deployments alone beside deploy.kubernetes.canary, found ${others.expected.name}: leave canary out, its pods are replaced one by one`,
    );
  await writeAll(rollout, changes, true);
  const running = await concurrently(wanted, writesAtOnce, ({ change, expected }) =>
    startCanary(rollout, expected, change.images, target.rollout),
  ).catch(async (error: unknown) => {
    if (!(error instanceof FailedRunning) || error.isOfImage) throw error;
    for (const { workload } of targets) await removeCanary(rollout.client, workload, rollout.signal);
    throw refused(`${error.message}; nothing else was changed`, error, error.details);
  });
  const names = wanted.map(({ expected }) => expected.name);
  const text =
    names.length === 0 ? 'no canary was needed: all have the image already' : `one pod of ${names.join(', ')} runs the digest`;
  return { kind: 'deployed', changed: names.length > 0, running: running.flat(), text };
}

/** What the snapshot found, by name of workload and container. The repository's registry is asked by nobody but the nodes. */
async function restore(rollout: Rollout, before: readonly RunningImage[]): Promise<Deployed> {
  const { client, target, signal } = rollout;
  const targets = await restoredTargets(rollout, before);
  const changes = targets.flatMap(({ workload, name }) => {
    const images = imagesBefore(before, name);
    return changesReference(workload, images) ? [backTo(workload, images, target.rollout)] : [];
  });
  for (const { workload } of changes) requireChangeable(workload, false);
  await writeAll(rollout, changes);
  for (const { workload } of targets) if (target.deploy.canary) await removeCanary(client, workload, signal);
  const expected = targets.map((each) =>
    expectedOf(each, (container) => {
      const digest = digestBefore(before, `${each.name}/${container}`);
      return digest === undefined ? undefined : [digest];
    }),
  );
  const proven = await waitUntilRunning(rollout, expected).catch((error: unknown) => {
    throw error instanceof Refusal ? failed(`what ran before did not come back: ${error.message}`, [], error) : error;
  });
  const running = await runningImages(client, await restoredTargets(rollout, before), signal);
  return { kind: 'deployed', changed: changes.length > 0, running, text: textOf(targets, changes.length > 0, proven) };
}

async function restoredTargets(rollout: Rollout, before: readonly RunningImage[]): Promise<WorkloadTarget[]> {
  const { client, target, signal } = rollout;
  if (before.length === 0)
    throw new Refusal(
      'NothingBefore',
      `nobody knows what ${target.stage.name} of ${target.plan.service} ran before: deploy what it should run`,
    );
  // By its image it would not be found any more: it has another one now.
  const all = {
    ...target,
    deploy: { ...target.deploy, ...('image' in target.deploy.workloads && { workloads: { image: 'repository' as const } }) },
  };
  const found = await findTargets(client, all, signal);
  return found.flatMap((each) => {
    const containers = each.containers.filter((container) => before.some(({ name }) => name === `${each.name}/${container}`));
    return containers.length === 0 ? [] : [{ ...each, containers }];
  });
}

function imagesBefore(before: readonly RunningImage[], workload: string): Record<string, string> {
  const ours = before.filter(({ name }) => name.slice(0, name.lastIndexOf('/')) === workload);
  return Object.fromEntries(ours.map((image) => [image.name.slice(image.name.lastIndexOf('/') + 1), pinnedReference(image)]));
}

function digestBefore(before: readonly RunningImage[], name: string): Digest | undefined {
  const image = before.find((each) => each.name === name);
  const written = image && tryParseReference(image.reference)?.digest;
  const digest = image?.digest ?? written;
  return digest !== undefined && isDigest(digest) ? digest : undefined;
}
