import { type Client, WorkflowNotFoundError, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import { abortUpdate, approveUpdate, rejectUpdate, retryUpdate, skipUpdate } from '../contracts/messages.ts';
import type { Decision, RolloutState } from '../domain/rollout-state.ts';
import { waiverText } from '../domain/rollout-text.ts';
import { answeredInTime, temporalPlace, withClient } from './connection.ts';
import { decisionMaker } from './decision-maker.ts';
import { CommandFailure, UsageFailure } from './failure.ts';
import { readRollout } from './rollout-now.ts';
import { findRollout, parsePrefix, rolloutRow, shortId } from './rollouts.ts';
import { noWorker } from './service-errors.ts';
import { plain, type Surroundings } from './terminal.ts';

export type Verb = 'approve' | 'retry' | 'skip' | 'reject' | 'abort';
const nameOf: Readonly<Record<Verb, string>> = {
  approve: approveUpdate.name,
  retry: retryUpdate.name,
  skip: skipUpdate.name,
  reject: rejectUpdate.name,
  abort: abortUpdate.name,
};

export interface DecideOptions {
  readonly config: string;
  readonly stage?: string;
  readonly reason?: string;
  /** Name of the operator, where it is not that of the surroundings. */
  readonly as?: string;
  readonly json?: boolean;
  /** Aborts without asking whether that is meant. */
  readonly yes?: boolean;
}

/** Decisions are answered by a worker at once; this leaves it time to replay the rollout first. */
const answerWithinMs = 15_000;
const pastTense = { approve: 'approved', retry: 'retried', skip: 'skipped', reject: 'rejected', abort: 'being aborted' } as const;

/** `landfall retry|skip|reject ROLLOUT [STEP]`, `landfall approve ROLLOUT` and `landfall abort ROLLOUT`. */
export async function decide(
  verb: Verb,
  { rollout: text, step }: { readonly rollout: string; readonly step?: string },
  options: DecideOptions,
  surroundings: Surroundings,
): Promise<void> {
  const prefix = parsePrefix(text);
  const reason = options.reason?.trim();
  if (verb === 'skip' && !reason) {
    throw new UsageFailure('a skip is a waiver and needs a reason: landfall skip ROLLOUT STEP --reason TEXT');
  }
  const maker = decisionMaker(options.as, surroundings);
  const decision: Decision = {
    ...(step === undefined ? {} : { step }),
    ...(options.stage === undefined ? {} : { stage: options.stage }),
    ...(reason ? { reason } : {}),
  };
  await withClient(temporalPlace(options.config, surroundings), async (client) => {
    const rollout = await findRollout(client, prefix);
    if (verb === 'abort' && !options.yes) await confirmAbort(rollout, surroundings);
    const about = await aboutRun(client, rollout, verb, options.stage);
    const signed = await maker.sign(verb, about.at, { ...decision, ...about.bound });
    await send(client, about.at, verb, signed);
    const what = about.bound.digest ?? step;
    const decided = `${shortId(rollout)}: ${what === undefined ? '' : `${what} `}${pastTense[verb]} by ${maker.shown}`;
    if (!options.json) surroundings.print(decided);
    // The update itself answers with the state from before the rollout went on.
    const { state } = await readRollout(client, rollout);
    if (options.json) surroundings.print(JSON.stringify({ rollout, ...state }, null, 2));
    else {
      // Whoever approves has to know what was not checked.
      const waivers = verb === 'approve' ? (state.waivers ?? []) : [];
      for (const waiver of waivers) surroundings.print(`  ${plain(waiverText(waiver))}`);
      surroundings.print(`now ${describeStatus(state)}`);
    }
  });
}

interface RunAt {
  readonly rollout: string;
  readonly runId: string;
}

/** The very run that a decision is for, and what else it is bound to: an approval says which digest it approves, in which proposal. */
async function aboutRun(
  client: Client,
  rollout: string,
  verb: Verb,
  stage: string | undefined,
): Promise<{ readonly at: RunAt; readonly bound: Pick<Decision, 'digest' | 'head'> }> {
  if (verb !== 'approve') {
    const { runId } = await answeredInTime(client, answerWithinMs, () => client.workflow.getHandle(rollout).describe());
    return { at: { rollout, runId }, bound: {} };
  }
  const { runId, state } = await readRollout(client, rollout);
  const head = headToApprove(state, stage);
  return { at: { rollout, runId }, bound: { digest: state.image.digest, ...(head !== undefined && { head }) } };
}

/** Of the stage that is named, or of the one that waits for its approval. */
function headToApprove({ steps, proposals }: RolloutState, stage: string | undefined): string | undefined {
  const asking = stage ?? steps.find(({ step, status }) => step === 'approve' && status === 'waiting')?.stage;
  return asking === undefined ? undefined : proposals[asking]?.head;
}

async function confirmAbort(rollout: string, { confirm }: Surroundings): Promise<void> {
  if (confirm === undefined || (await confirm(`Abort ${shortId(rollout)}, wherever it is?`))) return;
  throw new CommandFailure(`${shortId(rollout)} goes on: nothing was aborted`);
}

function describeStatus({ status, reason }: RolloutState): string {
  return reason === undefined ? status : `${status}: ${plain(reason)}`;
}

async function send(client: Client, { rollout, runId }: RunAt, verb: Verb, decision: Decision): Promise<void> {
  const handle = client.workflow.getHandle(rollout, runId);
  try {
    await answeredInTime(client, answerWithinMs, () =>
      handle.executeUpdate<RolloutState, [Decision]>(nameOf[verb], { args: [decision] }),
    );
  } catch (error) {
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) throw new CommandFailure(noWorker, 1, { cause: error });
    if (error instanceof WorkflowNotFoundError) throw await describeEnd(client, rollout, error);
    throw error;
  }
}

/** @throws WorkflowNotFoundError where the rollout has never been */
async function describeEnd(client: Client, rollout: string, cause: unknown): Promise<CommandFailure> {
  const { status, reason } = await answeredInTime(client, answerWithinMs, () => rolloutRow(client, rollout));
  const why = reason === undefined ? '' : ` (${plain(reason)})`;
  return new CommandFailure(`${shortId(rollout)} has ended: ${status}${why}`, 1, { cause });
}
