import type { Client } from '@temporalio/client';
import { searchAttributes } from '../contracts/start-options.ts';
import { quoted } from '../contracts/visibility.ts';
import { type DecisionVerb, decisionsFor, isBuild, shortRollout } from '../domain/rollout-state.ts';
import { Ambiguous, NotFound, OperationError, Refused } from './errors.ts';
import type { WantedRollout } from './operations.ts';
import { isOpen, ofRollouts, type RolloutRow, readRollout, rowOf } from './rollouts.ts';
import { answeredEach, answerWithinMs } from './temporal-calls.ts';

const wholeId = /^(?:rollout:[^:]+:[^:]+:[0-9a-f]{12}|rollback:[^:]+:[^:]+:\d+|build:[^:]+:[0-9a-f]{12}(?:-dry)?)$/;
const mostCandidates = 20;
/** Temporal lists what runs first, and then what ended last: the newest is among so many. */
const mostRead = 200;
const askWithinMs = 3_000;

/**
 * The id of the rollout that is meant. A beginning that rollouts of several services have is never enough.
 * @param prefix as `rolloutPrefix` gives it
 * @throws NotFound where there is none, Refused where it can be said to none of them, Ambiguous where to several; both list what there is
 */
export async function findRollout(client: Client, prefix: string, { verb, stage }: WantedRollout = {}): Promise<string> {
  // Lists lag behind a little: who has the whole id need not wait for them.
  if (wholeId.test(prefix)) return prefix;
  const rows = await candidates(client, prefix);
  const [first, ...others] = rows;
  if (first === undefined)
    throw new NotFound(`no rollout begins with '${shortRollout(prefix)}': landfall list shows what there is`);
  if (others.length === 0) return first.rollout;
  if (others.some(({ service }) => service !== first.service)) throw ambiguous(prefix, rows);
  const newest = rows.reduce((one, other) => (other.startedAt > one.startedAt ? other : one));
  const open = rows.filter(isOpen);
  if (verb === undefined || open.length === 0) return newest.rollout;
  const asked = open.slice(0, mostCandidates);
  const answers = await Promise.all(asked.map(({ rollout }) => canBeSaid(client, rollout, verb, stage)));
  const waiting = asked.filter((_row, index) => answers[index]);
  const [only, ...more] = waiting;
  if (only === undefined)
    throw new Refused(describeAll(`${verb}: no rollout of ${newest.service} waits for that; there are:`, open));
  if (more.length > 0) throw ambiguous(prefix, waiting);
  return only.rollout;
}

/** Of the service of this name, with the rollbacks that operators asked for; else all whose ids begin so. */
async function candidates(client: Client, prefix: string): Promise<RolloutRow[]> {
  const [, service = '', ...rest] = prefix.split(':');
  const column = `${searchAttributes.service.name} = ${quoted(service)}`;
  const isName = rest.length === 0 && prefix.startsWith('rollout:');
  const ofService = isName ? await listed(client, column) : [];
  // A build may have the name of the service that it is for.
  const rollouts = ofService.filter(({ rollout }) => !isBuild(rollout));
  if (ofService.length > 0) return rollouts.length > 0 ? rollouts : ofService;
  // A beginning of ids alone has Temporal look at every one that there is.
  const narrowed = rest.length === 0 ? '' : `${column} AND `;
  const found = await listed(client, `${narrowed}WorkflowId STARTS_WITH ${quoted(prefix)}`);
  return found.filter(({ rollout }) => rollout.startsWith(prefix));
}

async function listed(client: Client, condition: string): Promise<RolloutRow[]> {
  const rows = new Map<string, RolloutRow>();
  const list = client.workflow.list({ query: `${ofRollouts} AND ${condition}`, pageSize: 100 });
  for await (const info of answeredEach(client, answerWithinMs, list)) {
    // A closed rollout may have run again: the same id is the same rollout.
    if (!rows.has(info.workflowId)) rows.set(info.workflowId, rowOf(info));
    if (rows.size >= mostRead) break;
  }
  return [...rows.values()];
}

/** Where nobody answers for it, whoever decides has to say which one is meant. */
async function canBeSaid(client: Client, rollout: string, verb: DecisionVerb, stage: string | undefined): Promise<boolean> {
  if (verb === 'abort') return true;
  // With another configuration it is a retry all the same.
  const said = verb === 'renew' ? 'retry' : verb;
  try {
    const { state } = await readRollout(client, rollout, askWithinMs);
    return state.steps.some((step) => (stage === undefined || step.stage === stage) && decisionsFor(step).includes(said));
  } catch (error) {
    if (error instanceof OperationError) return true;
    throw error;
  }
}

function ambiguous(prefix: string, rows: readonly RolloutRow[]): Ambiguous {
  const title = `'${shortRollout(prefix)}' is the beginning of several rollouts; name one of them:`;
  const names = rows
    .slice(0, mostCandidates)
    .map(({ rollout }) => rollout)
    .sort();
  return new Ambiguous(describeAll(title, rows), names);
}

/** The newest first, each with how it is and since when. */
function describeAll(title: string, rows: readonly RolloutRow[]): string {
  const newestFirst = [...rows].sort((one, other) => other.changedAt.localeCompare(one.changedAt));
  const shown = newestFirst.slice(0, mostCandidates);
  const lines = shown.map(({ rollout, status, changedAt }) => `  ${shortRollout(rollout)}  ${status} since ${changedAt}`);
  return [title, ...lines, ...(rows.length > mostCandidates ? ['  …'] : [])].join('\n');
}
