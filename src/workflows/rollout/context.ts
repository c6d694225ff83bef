import { proxyLocalActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../../contracts/activities/index.ts';
import { type RolloutStart, stateQuery } from '../../contracts/messages.ts';
import type { Decision } from '../../domain/rollout-state.ts';
import { Approvals } from './approvals.ts';
import { OperatorDecisions } from './decisions.ts';
import { LaneClient, type RollbackTurn } from './lane-client.ts';
import { RolloutNotifier } from './notifier.ts';
import { Poller } from './poller.ts';
import { RolloutRecord } from './record.ts';

/** What the steps of a rollout work with. */
export interface RolloutContext {
  readonly start: RolloutStart;
  readonly record: RolloutRecord;
  readonly decisions: OperatorDecisions;
  readonly approvals: Approvals;
  readonly lane: LaneClient;
  readonly poller: Poller;
  readonly notifier: RolloutNotifier;
}

/** Makes the context, and begins to answer queries, updates and signals. @param cancel what an operator's `abort` does */
export function openContext(start: RolloutStart, cancel: () => void, rollback?: RollbackTurn): RolloutContext {
  const record = new RolloutRecord(start, rollback === undefined ? 'rollout' : 'rollback');
  const lane = new LaneClient(start, record, rollback);
  const decisions = new OperatorDecisions({ plan: start.plan, record, lane, whoDecided: prove, cancel });
  const approvals = new Approvals(start, record, prove);
  const poller = new Poller();
  lane.handleSignals();
  decisions.handleUpdates();
  setHandler(stateQuery, () => record.state);
  approvals.handleUpdates();
  poller.handleSignals();
  return { start, record, decisions, approvals, lane, poller, notifier: new RolloutNotifier(start, record) };
}

const { whoDecided } = proxyLocalActivities<Pick<Activities, 'whoDecided'>>({
  startToCloseTimeout: '5s',
  retry: { maximumAttempts: 3 },
});

async function prove(verb: string, decision: Decision): Promise<string> {
  const { workflowId: rollout, runId } = workflowInfo();
  return (await whoDecided({ rollout, runId, verb, decision })).by;
}
