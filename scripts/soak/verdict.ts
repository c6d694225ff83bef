import { laneQuery } from '../../src/contracts/messages.ts';
import { laneId } from '../../src/contracts/start-options.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { LaneState } from '../../src/domain/lane/state.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { eventually } from '../../test/support/wait.ts';
import { type Chaos, failuresOf } from './chaos.ts';
import { foreignFile, type Push } from './history.ts';
import { composeFile, type Service, type Site, services } from './site.ts';

/** How long the last push may take once everything runs again: a heartbeat is missed, an activity is tried again, five deploys in turn. */
const settledWithinMs = 300_000;

/** Waits until every service runs what was pushed last and nothing is under way. @returns what did not come to that */
export async function untilSettled(site: Site, last: ReadonlyMap<Service, Digest>): Promise<string[]> {
  const waits = [...last].map(async ([service, digest]) => {
    try {
      await eventually(`${service} to run ${digest}`, () => runsOnly(site, service, digest), settledWithinMs);
      await eventually(`what runs for ${service} to end`, () => isQuiet(site, service), settledWithinMs);
      return [];
    } catch (error) {
      return [`stuck: ${error instanceof Error ? error.message : error}; ${await openOf(site, service)}`];
    }
  });
  return (await Promise.all(waits)).flat();
}

async function runsOnly(site: Site, service: Service, digest: Digest): Promise<boolean> {
  const containers = await site.containers(service).catch(() => []);
  return containers.length === 1 && containers[0]?.running === true && containers[0].digests.includes(digest);
}

/** No rollout, look-up or rollback of the service is open. */
async function isQuiet(site: Site, service: Service): Promise<boolean> {
  return (await openWorkflows(site, service)).length === 0;
}

async function openWorkflows({ temporal }: Site, service: Service): Promise<string[]> {
  const open: string[] = [];
  for await (const { workflowId, type } of temporal.client.workflow.list({ query: "ExecutionStatus = 'Running'" })) {
    if (['rollout', 'rollback', 'resolve'].includes(type) && workflowId.split(':')[1] === service) open.push(workflowId);
  }
  return open;
}

async function openOf(site: Site, service: Service): Promise<string> {
  const open = await openWorkflows(site, service);
  const states = open.map(async (workflowId) => {
    const state = await site.temporal.client.workflow.getHandle(workflowId).query<RolloutState>('state').catch(String);
    return `${workflowId}: ${JSON.stringify(state)}`;
  });
  return `open: ${(await Promise.all(states)).join('; ') || 'nothing'}`;
}

export interface Verdict {
  /** How rollouts have ended, and how many. */
  readonly ends: Readonly<Record<string, number>>;
  /** What was lost, done twice, left, or stuck; empty where all went right. */
  readonly faults: readonly string[];
}

/** What has to hold after everything has settled. */
export async function judge(site: Site, { pushes, failures }: Chaos, last: ReadonlyMap<Service, Digest>): Promise<Verdict> {
  const states = await statesOf(site);
  const ends: Record<string, number> = {};
  for (const { status } of states) ends[status] = (ends[status] ?? 0) + 1;
  const faults = [
    ...failures,
    ...failuresOf(site),
    ...lostPushes(pushes, states),
    ...(await repositoryFaults(site, pushes, last)),
    ...(await laneFaults(site, pushes, states)),
    ...(await site.leftOfChecks()).map((name) => `left: ${name}`),
    ...states.flatMap(({ status, service, image }) =>
      status === 'failed' || status === 'expired' ? [`${service} ${image.digest.slice(7, 19)} ended ${status}`] : [],
    ),
  ];
  return { ends, faults };
}

async function statesOf({ temporal }: Site): Promise<RolloutState[]> {
  const states: RolloutState[] = [];
  for await (const { workflowId, runId } of temporal.client.workflow.list({ query: "WorkflowType = 'rollout'" })) {
    states.push(await temporal.client.workflow.getHandle(workflowId, runId).query<RolloutState>('state'));
  }
  return states;
}

/** What was acknowledged has a rollout. */
function lostPushes(pushes: readonly Push[], states: readonly RolloutState[]): string[] {
  const known = new Set<string>(states.map(({ image }) => image.digest));
  return pushes.flatMap(({ service, digest, acknowledged }) =>
    acknowledged && !known.has(digest)
      ? [`${service} ${digest.slice(7, 19)} is lost: it was acknowledged, and has no rollout`]
      : [],
  );
}

async function repositoryFaults(
  { remote }: Site,
  pushes: readonly Push[],
  last: ReadonlyMap<Service, Digest>,
): Promise<string[]> {
  const text = await remote.read('main', composeFile);
  const log = await remote.log('main');
  const added = (await remote.git('ls-tree', '-r', '--name-only', 'main')).split('\n');
  const branches = (await remote.branches()).filter((name) => name !== 'main');
  const merges = ({ digest }: { digest: Digest }, first: string): number =>
    log.filter(({ message }) => message.startsWith(first) && message.includes(digest)).length;
  return [
    ...(added.includes(foreignFile) ? [`${foreignFile}, which somebody else committed, is in the base branch`] : []),
    ...log.flatMap(({ author, sha }) => (author === 'Mallory' ? [`the base branch has Mallory's commit ${sha}`] : [])),
    ...services.flatMap((service) =>
      text.includes(`team/${service}:latest@${last.get(service)}`) ? [] : [`the base branch does not pin the last ${service}`],
    ),
    ...pushes.flatMap((push) => {
      const [times, backs] = [merges(push, 'chore: '), merges(push, 'revert: ')];
      const name = `${push.service} ${push.digest.slice(7, 19)} (${push.kind})`;
      const isBad = push.kind === 'critical' || push.kind === 'exits';
      return [
        ...(times > 1 ? [`${name} was merged ${times} times`] : []),
        ...(backs > 1 ? [`${name} was reverted ${backs} times`] : []),
        ...(isBad && times > 0 ? [`${name} did not pass its checks, and was merged`] : []),
      ];
    }),
    ...branches.map((name) => `left: the branch ${name}`),
  ];
}

/** No turn is held, and what was rolled back never comes again. */
async function laneFaults(site: Site, pushes: readonly Push[], states: readonly RolloutState[]): Promise<string[]> {
  const faults: string[] = [];
  for (const service of services) {
    const lane = await site.temporal.client.workflow
      .getHandle(laneId(service))
      .query<LaneState>(laneQuery)
      .catch((error: unknown) => {
        faults.push(`the lane of ${service} does not answer: ${error}`);
        return undefined;
      });
    if (lane === undefined) continue;
    for (const [stage, { holder }] of Object.entries(lane.stages)) {
      if (holder !== undefined) faults.push(`the turn of ${stage} of ${service} is still held: ${JSON.stringify(holder)}`);
    }
    const rolledBack = states.filter((state) => state.service === service && state.status === 'rolled-back');
    for (const { image } of rolledBack) {
      const push = pushes.find(({ digest }) => digest === image.digest);
      if (push?.kind === 'good') faults.push(`${service} ${image.digest.slice(7, 19)} is good, and was rolled back`);
      if (lane.quarantine[image.digest] === undefined)
        faults.push(`${service} ${image.digest} was rolled back, and is not quarantined`);
    }
  }
  return faults;
}
