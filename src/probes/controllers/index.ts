import { messageOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import type { Digest, Repository } from '../../domain/image-reference.ts';
import type { ControllerProbePlan } from '../../domain/plan.ts';
import type { Restarts } from '../../domain/watch.ts';
import type { KubernetesClients } from '../../platform/kubernetes/client.ts';
import type { ProbeAnswer } from '../answer.ts';
import type { PodAnswers } from '../pods.ts';
import { readApplication } from './argocd.ts';
import type { CommitCheck, ControllerState } from './controller.ts';
import { readHelmRelease, readKustomization } from './flux.ts';
import { findOurs } from './workloads.ts';

interface ControllerRequest {
  /** Absent: nothing has to be proven. */
  readonly expected: { readonly digests: readonly Digest[]; readonly repository: Repository } | undefined;
  /** Absent: it is not known which commit is to be applied. */
  readonly isOurs: CommitCheck | undefined;
  readonly restarts: Restarts | undefined;
  readonly signal: AbortSignal;
}

const readers = { Application: readApplication, Kustomization: readKustomization, HelmRelease: readHelmRelease };

/**
 * What a GitOps controller says of the commit that is expected, or of one that came after it; and what the pods run that it brought. Until
 * it has seen that commit, it is not decided. Where nobody can tell whether it has, it is decided by who runs the expected digest.
 * @throws Refusal where it may not be asked, or does not have what is meant; and the signal's reason
 */
export async function askController(
  clusters: KubernetesClients,
  probe: ControllerProbePlan,
  request: ControllerRequest,
): Promise<PodAnswers> {
  const { signal, restarts, expected } = request;
  const only = (answer: ProbeAnswer): PodAnswers => ({ answers: [answer], restarts, isProof: false });
  try {
    const client = await clusters(probe.context);
    const state = await readers[probe.object](client, probe, signal);
    if (state === undefined) throw missing(probe, client.context.name);
    const isOurs = await anyOurs(state, request.isOurs);
    const said: ProbeAnswer = { kind: state.kind, text: `${nameOf(probe)} ${state.text}` };
    if (isOurs === false) return only({ kind: 'none', text: `${nameOf(probe)} is at ${commitsOf(state)} still` });
    if (expected === undefined) return only(said);
    const target = await clusters(probe.podsContext ?? probe.context);
    const applied = await state.workloads(target, signal);
    const found = await findOurs(target, applied, { ...expected, allowedRestarts: probe.restarts, restarts, signal });
    if (isOurs === undefined && !found.haveDigest) return only({ ...said, kind: 'none' });
    const isApplied = state.kind === 'good';
    if (found.isEmpty && isApplied) throw unused(probe, expected.repository, target.context.name);
    const judged = found.judge(isApplied);
    return { ...judged, answers: [said, ...judged.answers] };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refusal) throw error;
    return only({ kind: 'away', text: messageOf(error) });
  }
}

/** Of several sources one is ours. */
async function anyOurs({ commits }: ControllerState, isOurs: CommitCheck | undefined): Promise<boolean | undefined> {
  if (isOurs === undefined) return undefined;
  const found = await Promise.all(commits.map(isOurs));
  return found.includes(true) || (found.includes(false) ? false : undefined);
}

function commitsOf({ commits }: ControllerState): string {
  return commits.map((commit) => commit.slice(0, 12)).join(', ');
}

function nameOf({ kind, object, namespace, name }: ControllerProbePlan): string {
  return `${kind} ${object} ${namespace}/${name}`;
}

function missing(probe: ControllerProbePlan, cluster: string): Refusal {
  const { kind, object, namespace, name } = probe;
  return new Refusal(
    'DeployRefused',
    `expected an ${object} ${name} in the namespace ${namespace} of ${cluster}, found none: correct watch.${kind}, or create it`,
  );
}

function unused(probe: ControllerProbePlan, repository: Repository, cluster: string): Refusal {
  return new Refusal(
    'DeployRefused',
    `expected that ${nameOf(probe)} has a Deployment, StatefulSet, DaemonSet or CronJob in ${cluster} that is made from ${repository}, found none: ` +
      `correct watch.${probe.kind}, or name the cluster of the pods by its podsContext`,
  );
}
