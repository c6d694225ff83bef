import type { Checked } from '../../../domain/outcomes.ts';
import { type ContainerEnvironment, readEnvironment } from '../../../platform/docker/environment.ts';
import { isEarlier, type Ownership } from '../../../platform/docker/labels.ts';
import { createMask } from '../../../platform/docker/log-lines.ts';
import { describeProbe } from '../../../platform/docker/readiness.ts';
import type { KubernetesClient } from '../../../platform/kubernetes/client.ts';
import type { Pod } from '../../../platform/kubernetes/objects.ts';
import { readPodLog, readPodOutput } from '../../../platform/kubernetes/pods.ts';
import { type CheckContext, type CheckWork, pullMs, referenceOf } from '../../check.ts';
import { concludeSmoke } from '../conclusion.ts';
import type { FailureContext } from '../smoke-failure.ts';
import { createPod, ensureClosedNetwork } from './creation.ts';
import { findPods, installationOf, removePod } from './owned-pods.ts';
import { candidate, type PodPlan, podNameOf } from './pod.ts';
import { createProof } from './proof.ts';
import { waitForPod } from './readiness.ts';

/** One run of a smoke test in a cluster, and the process that it runs in. */
type PodTest = CheckWork<PodPlan> & CheckContext;

/** After its timeout a smoke test still reads a log and cleans up. */
const deadlineGraceMs = 2 * 60_000;

/**
 * Runs the image as a pod, and says when it was ready, or how it ended.
 * @throws Refusal `SmokeFailed`, `DigestMismatch`, `DeployRefused`, `TargetNotFound`, `CredentialsRefused`, `FileNotFound` or `SecretMissing`;
 *   RateLimit; an ordinary error where the cluster or the registry is broken or full; the signal's reason once it is aborted
 */
export async function smokeTestInPod(test: PodTest): Promise<Checked> {
  const { settings: smoke, plan, image, run, signal, now } = test;
  const { context, namespace } = smoke.kubernetes;
  const client = await test.clusters(context);
  const environment = await readEnvironment(smoke, test.baseDir, test.secrets);
  const installation = installationOf(test);
  for (const left of await findPods(client, namespace, installation, signal))
    if (isEarlier(left.owner, run)) await removePod(client, left.pod, signal);
  if (smoke.network !== 'full') await ensureClosedNetwork({ client, namespace }, signal);
  signal.throwIfAborted();

  const name = podNameOf(run, plan.service);
  const hasEnvironment = Object.keys(environment.variables).length > 0;
  const request = { name, owner: ownerOf(test), installation, plan, image, smoke, hasEnvironment };
  await createPod({ client, namespace }, request, environment.variables, test.later);
  const explain = (pod: Pod) => explainPod(test, client, pod, environment);
  const requireProven = createProof(test);
  const reference = referenceOf(image);
  const result = await waitForPod({ client, namespace, name, reference, smoke, signal, now, requireProven, explain });
  const { pod } = result;
  const readOutput = () => readPodOutput(client, pod, candidate, signal);
  return await concludeSmoke(result, { ...(await explain(pod)), before: 'in a pod on', place: nodeOf(pod), readOutput });
}

function ownerOf({ run, workerId: worker, settings, now, ...context }: PodTest): Ownership {
  const deadline = new Date(now().getTime() + pullMs + settings.timeoutMs + deadlineGraceMs);
  return { ...run, worker, deadline, installation: installationOf({ workerId: worker, ...context }) };
}

async function explainPod(
  { settings: smoke, signal }: PodTest,
  client: KubernetesClient,
  pod: Pod,
  { secrets }: ContainerEnvironment,
): Promise<FailureContext> {
  const mask = createMask(secrets);
  const status = pod.status?.containerStatuses?.find(({ name }) => name === candidate);
  const log = status && (await readPodLog(client, pod, status, signal, mask));
  const probe = smoke.probe && { kind: smoke.probe.kind, what: describeProbe(smoke.probe) };
  return { smoke, where: `pod on ${nodeOf(pod)}`, probe, log: log ?? '', mask };
}

function nodeOf({ spec }: Pod): string {
  return spec.nodeName ?? 'no node';
}
