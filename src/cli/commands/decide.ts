import type { Command } from 'commander';
import { nameOfPerson } from '../../domain/person.ts';
import { type DecisionVerb, shortRollout, waiverText } from '../../domain/rollout-state.ts';
import { addDecisionOptions, type CliContext, type DecisionOptions, rolloutArgument } from '../context.ts';
import { CommandFailure, exitCodes } from '../errors.ts';
import { withOperations } from '../reach.ts';
import { plain } from '../terminal.ts';
import { addWaitOptions, awaitRollouts, goodEnds, timeoutOf, type WaitOptions } from '../wait.ts';

interface DecideOptions extends DecisionOptions, WaitOptions {
  readonly stage?: string;
  /** Aborts without asking whether that is meant. */
  readonly yes?: boolean;
  /** Retries with what the workers' configuration says now. */
  readonly withNewConfiguration?: boolean;
}

/** Of each: what it does, and how it is said that it was done. */
const verbs: Readonly<Record<DecisionVerb, readonly [string, string]>> = {
  approve: ['let a rollout go on into a stage that waits for approval; it holds for this digest alone', 'approved'],
  retry: ['try a blocked step again', 'retried'],
  renew: ['begin anew with the new configuration', 'begun anew'],
  skip: ['go on without a blocked step: a waiver, which needs a reason', 'skipped'],
  reject: ['end the rollout because of a step that is blocked or waits for people, and quarantine its digest', 'rejected'],
  abort: ['stop a rollout, wherever it is', 'being aborted'],
};

/** What operators decide about a rollout. */
export function addDecisions(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  for (const [verb, [description]] of Object.entries(verbs) as [DecisionVerb, readonly [string, string]][]) {
    // It is an option of retry.
    if (verb === 'renew') continue;
    const isOfStep = verb !== 'approve' && verb !== 'abort';
    const command = program.command(verb).description(description).argument('<rollout>', rolloutArgument);
    if (isOfStep) command.argument('[step]', 'the step, where more than one is blocked');
    if (verb === 'retry')
      command.option('--with-new-configuration', 'begin anew, with what landfall.yaml of the workers says now');
    if (verb === 'abort') command.option('-y, --yes', 'do not ask whether it is meant');
    else command.option('--stage <name>', isOfStep ? 'the stage of the step' : 'the stage, where more than one waits');
    addDecisionOptions(addWaitOptions(command), 'who decides', context).action(async () => {
      const options: DecideOptions = command.opts();
      const isAsMeant = await decide(options.withNewConfiguration ? 'renew' : verb, command.args, options, context);
      if (!isAsMeant) setExitCode(exitCodes.refused);
    });
  }
}

/** @returns whether it has come to what was meant, as far as that was waited for */
async function decide(
  verb: DecisionVerb,
  [rolloutWord, step]: readonly string[],
  options: DecideOptions,
  context: CliContext,
): Promise<boolean> {
  const inputs = await import('../../operations/inputs.ts');
  const { stage, reason, json, yes, wait } = options;
  const input = inputs.parseInput(inputs.decisionInput, { verb, rollout: rolloutWord, step, stage, reason });
  timeoutOf(options);
  return await withOperations(options, context, async (operations) => {
    const by = nameOfPerson(await operations.actor());
    const rollout = await operations.findRollout(input.rollout, { verb, stage });
    if (verb === 'abort' && !yes) await confirmAbort(rollout, context);
    const { digest } = await operations.decide(rollout, input);
    const what = digest ?? input.step;
    if (!json) context.print(`${shortRollout(rollout)}: ${what === undefined ? '' : `${what} `}${verbs[verb][1]} by ${by}`);
    // The update itself answers with the state from before the rollout went on.
    const { state: next } = await operations.readRollout(rollout);
    // Whoever approves has to know what was not checked.
    const waivers = verb === 'approve' && !json ? (next.waivers ?? []) : [];
    for (const waiver of waivers) context.print(`  ${plain(waiverText(waiver))}`);
    const [state = next] = wait ? await awaitRollouts(operations, [rollout], options, context) : [];
    if (json) context.print(JSON.stringify({ rollout, ...state }, null, 2));
    else context.print(`now ${state.status}${state.reason === undefined ? '' : `: ${plain(state.reason)}`}`);
    return !wait || (meant[verb] ?? goodEnds).includes(state.status);
  });
}

/** What the others are meant to come to is a delivery. */
const meant: Partial<Record<DecisionVerb, readonly string[]>> = { reject: ['rejected'], abort: ['aborted'] };

async function confirmAbort(rollout: string, { confirm }: CliContext): Promise<void> {
  if (confirm === undefined || (await confirm(`Abort ${shortRollout(rollout)}, wherever it is?`))) return;
  throw new CommandFailure(`${shortRollout(rollout)} goes on: nothing was aborted`);
}
