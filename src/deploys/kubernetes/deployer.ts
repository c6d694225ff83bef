import type { Digest } from '../../domain/image-reference.ts';
import type { Deployed } from '../../domain/outcomes.ts';
import { isSameImage } from '../../platform/registry/same-image.ts';
import type { DeployContext, Deployer, Work } from '../deploy.ts';
import { deployCanaries } from './canaries.ts';
import { waitUntilRunning } from './readiness.ts';
import { orPutBack, removeCanaries, rollBackWorkloads } from './rollback.ts';
import {
  asWritten,
  containersByName,
  describeRollout,
  digestsOf,
  expectedOf,
  findAgain,
  type KubernetesRollout,
  planRollout,
  tryAll,
  writeAll,
} from './rollout.ts';
import {
  canaryParts,
  findTargets,
  type KubernetesDeployPlan,
  type KubernetesTarget,
  runningImages,
  wantedReference,
} from './targets.ts';
import { previousOf } from './write.ts';

/**
 * `deploy: kubernetes`. What is written is the image alone, by server-side apply, so that the cluster knows which field is whose. Proven is it by
 * the pods: each says which digest it runs.
 */
export function createKubernetesDeployer({
  clusters,
  registry,
  log,
}: Pick<DeployContext, 'clusters' | 'registry' | 'log'>): Deployer<KubernetesDeployPlan> {
  const begin = async (target: KubernetesTarget, signal: AbortSignal): Promise<KubernetesRollout> => {
    const { context, restarts, timeoutMs } = target.deploy;
    // Without a watch nobody would see that they crash a moment later.
    const holdsMs = target.stage.watch === undefined ? 2_000 : 0;
    const query = { registry, repository: target.image.repository, platforms: target.plan.platforms };
    const isSame = (found: Digest, wanted: readonly Digest[]) => isSameImage(query, found, wanted);
    return { target, client: await clusters(context), log, restarts, holdsMs, timeoutMs, signal, isSameImage: isSame };
  };
  const inTime = (target: KubernetesTarget) => begin(target, AbortSignal.timeout(target.deploy.timeoutMs));
  return {
    async running(target) {
      const { client, signal } = await inTime(target);
      return await runningImages(client, await findTargets(client, target, signal), signal);
    },
    async foresee(target, { signal }) {
      const rollout = await begin(target, signal);
      await tryAll(rollout, (await planRollout(rollout)).changes);
      return undefined;
    },
    deploy: async (target, work) => deploy(await begin(target, work.signal), work),
    restore: async (target, before, { signal }) => rollBackWorkloads(await begin(target, signal), before),
    async settle(target) {
      if (target.deploy.canary === undefined) return;
      const rollout = await inTime(target);
      await removeCanaries(rollout, await findTargets(rollout.client, target, rollout.signal));
    },
  };
}

async function deploy(rollout: KubernetesRollout, { only, turn }: Pick<Work, 'only' | 'turn'>): Promise<Deployed> {
  const { client, target, signal, log } = rollout;
  const planned = await planRollout(rollout, true);
  const { targets, changes } = planned;
  if (targets.length === 0) {
    const text = `no workload of ${client.context.name} uses ${wantedReference(target)}`;
    return { kind: 'deployed', changed: false, running: [], text };
  }
  if (only?.includes(canaryParts.first)) return await deployCanaries(rollout, planned);
  // All or none, as far as that can be known.
  if (changes.length > 1) await tryAll(rollout, changes);
  const written = await writeAll(rollout, changes);
  for (const { kind, namespace, name } of written) {
    const { digest } = target.image;
    log.info(
      { workload: `${kind} ${namespace}/${name}`, rollout: target.rollout, turn, digest },
      'the image of a workload was set',
    );
  }
  const digests = digestsOf(target.image);
  const expected = asWritten(targets, written).map((each) => expectedOf(each, () => digests));
  const proven = await orPutBack(rollout, targets, () => waitUntilRunning(rollout, expected));
  await removeCanaries(rollout, targets);
  const running = await runningImages(client, await findAgain(rollout, containersByName(targets)), signal);
  const changed = changes.length > 0 || targets.some(({ workload }) => previousOf(workload)?.rollout === target.rollout);
  return { kind: 'deployed', changed, running, text: describeRollout(targets, changed, proven) };
}
