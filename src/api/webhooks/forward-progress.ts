import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { progressSignal } from '../../contracts/messages.ts';
import { searchAttributes } from '../../contracts/start-options.ts';
import { quoted } from '../../contracts/visibility.ts';
import { concurrently } from '../../domain/concurrently.ts';
import { branchOf, rollbackBranchOf } from '../../domain/proposal.ts';
import { namePattern } from '../../settings/name-pattern.ts';
import type { ForgeProgress } from '../../sources/kit/source.ts';
import { orUnavailable, type TemporalCalls } from './unavailable.ts';

/** A rollout that was signalled to ask its forge again. */
export interface SignalledRollout {
  /** Workflow id. */
  readonly id: string;
  readonly service: string;
}

export type ForwardedProgress = { readonly signalled: readonly SignalledRollout[] } | { readonly ignored: string };
export type ForwardProgress = (progress: ForgeProgress) => Promise<ForwardedProgress>;

export interface ForwardDependencies extends TemporalCalls {
  /** Whether a service's change, deploy or watch is about this repository (`owner/name`). */
  readonly isDeploymentRepository: (repository: string) => boolean;
}

const signalsAtOnce = 8;
/** A service has one rollout at a time in a stage, and perhaps one rollback. */
const mostSignalled = 50;
/** The name of a stage has at most 49 characters, and `-rollback` may follow it. */
const longestRest = 58;

/**
 * Signals the rollouts that may be waiting for something at the forge, found by one search. They ask the forge itself what has moved; so
 * a signal too many changes nothing, and after a lost one they only ask later.
 * @returns a function that throws Problem 503 if Temporal does not answer in time
 */
export function createForwardProgress(dependencies: ForwardDependencies): ForwardProgress {
  const { client, isDeploymentRepository } = dependencies;
  const says = {
    logged: 'progress at a forge could not be passed on: Temporal did not answer',
    detail: 'Temporal did not answer, so no rollout was told. Nothing is lost: rollouts look by themselves, only later.',
  };
  return async (progress) => {
    const { repository, branches, rollout, what } = progress;
    if (!isDeploymentRepository(repository)) return { ignored: `no service is deployed from ${repository}` };
    return await orUnavailable(dependencies, says, async () => {
      const concerned = await findConcerned(client, progress);
      const isWaiting = await concurrently(concerned, signalsAtOnce, ({ id }) => signal(client, id, what));
      const signalled = concerned.filter((_, index) => isWaiting[index]);
      const about = [...branches, ...(rollout === undefined ? [] : [rollout])];
      return signalled.length > 0 ? { signalled } : { ignored: `no rollout waits for ${about.join(', ')}` };
    });
  };
}

/** One list of all rollouts of the services that the branches may be of; kept are those whose stage has one of the branches. */
async function findConcerned(client: Client, { branches, rollout }: ForgeProgress): Promise<SignalledRollout[]> {
  const services = [...new Set(branches.flatMap(servicesOf))];
  const { service, stage, status } = searchAttributes;
  const whose = [
    ...(services.length === 0 ? [] : [`${service.name} IN (${services.map(quoted).join(', ')})`]),
    ...(rollout === undefined ? [] : [`WorkflowId = ${quoted(rollout)}`]),
  ];
  if (whose.length === 0) return [];
  const query = `ExecutionStatus = 'Running' AND ${status.name} IN ('running', 'waiting') AND (${whose.join(' OR ')})`;
  const found: SignalledRollout[] = [];
  for await (const { workflowId: id, typedSearchAttributes: columns } of client.workflow.list({ query, pageSize: 200 })) {
    const of = columns.get(service) ?? '';
    const at = columns.get(stage) ?? '';
    const isAbout = branches.some((branch) => branch === branchOf(of, at) || branch === rollbackBranchOf(of, at));
    if (id === rollout || isAbout) found.push({ id, service: of });
    if (found.length >= mostSignalled) break;
  }
  return found;
}

/** `landfall/a-b-c` may be of service `a` and stage `b-c`, or of service `a-b` and stage `c`. */
function servicesOf(branch: string): string[] {
  const words = branch.slice('landfall/'.length).split('-');
  return words.slice(1).flatMap((_, index) => {
    const service = words.slice(0, index + 1).join('-');
    const rest = words.slice(index + 1).join('-');
    return namePattern.test(service) && rest.length <= longestRest ? [service] : [];
  });
}

/** Lists lag behind a little: a rollout that has ended meanwhile waits for nothing. */
async function signal(client: Client, id: string, what: string): Promise<boolean> {
  try {
    await client.workflow.getHandle(id).signal(progressSignal, { what });
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
