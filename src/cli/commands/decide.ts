import type { Command } from 'commander';
import { nameOfPerson } from '../../domain/person.ts';
import { shortRollout, waiverText } from '../../domain/rollout-state.ts';
import type { DecisionVerb } from '../../operations/index.ts';
import { actorOf } from '../actor.ts';
import { addDecisionOptions, type CliContext, type DecisionOptions, rolloutArgument } from '../context.ts';
import { CommandFailure } from '../errors.ts';
import { plain } from '../terminal.ts';

interface DecideOptions extends DecisionOptions {
  readonly stage?: string;
  /** Aborts without asking whether that is meant. */
  readonly yes?: boolean;
}

/** Of each: what it does, and how it is said that it was done. */
const verbs: Readonly<Record<DecisionVerb, readonly [string, string]>> = {
  approve: ['let a rollout go on into a stage that waits for approval; it holds for this digest alone', 'approved'],
  retry: ['try a blocked step again', 'retried'],
  skip: ['go on without a blocked step: a waiver, which needs a reason', 'skipped'],
  reject: ['end the rollout because of a step that is blocked or waits for people, and quarantine its digest', 'rejected'],
  abort: ['stop a rollout, wherever it is', 'being aborted'],
};

/** What operators decide about a rollout. */
export function addDecisions(program: Command, context: CliContext): void {
  for (const [verb, [description]] of Object.entries(verbs) as [DecisionVerb, readonly [string, string]][]) {
    const isOfStep = verb !== 'approve' && verb !== 'abort';
    const command = program.command(verb).description(description).argument('<rollout>', rolloutArgument);
    if (isOfStep) command.argument('[step]', 'the step, where more than one is blocked');
    if (verb === 'abort') command.option('-y, --yes', 'do not ask whether it is meant');
    else command.option('--stage <name>', isOfStep ? 'the stage of the step' : 'the stage, where more than one waits');
    addDecisionOptions(command, 'who decides', context).action(() => decide(verb, command.args, command.opts(), context));
  }
}

async function decide(
  verb: DecisionVerb,
  [rolloutWord, step]: readonly string[],
  options: DecideOptions,
  context: CliContext,
): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const { stage, reason, config, json, yes } = options;
  const input = operations.parseInput(operations.decisionInput, { verb, rollout: rolloutWord, step, stage, reason });
  const actor = await actorOf(options, context);
  await operations.withClient(config, context.env, async (client) => {
    const rollout = await operations.findRollout(client, input.rollout);
    if (verb === 'abort' && !yes) await confirmAbort(rollout, context);
    const { digest } = await operations.decide(client, rollout, input, actor);
    const what = digest ?? input.step;
    const by = nameOfPerson({ by: actor.name, verified: actor.tokenHash !== undefined });
    if (!json) context.print(`${shortRollout(rollout)}: ${what === undefined ? '' : `${what} `}${verbs[verb][1]} by ${by}`);
    // The update itself answers with the state from before the rollout went on.
    const { state } = await operations.readRollout(client, rollout);
    if (json) return context.print(JSON.stringify({ rollout, ...state }, null, 2));
    // Whoever approves has to know what was not checked.
    const waivers = verb === 'approve' ? (state.waivers ?? []) : [];
    for (const waiver of waivers) context.print(`  ${plain(waiverText(waiver))}`);
    context.print(`now ${state.status}${state.reason === undefined ? '' : `: ${plain(state.reason)}`}`);
  });
}

async function confirmAbort(rollout: string, { confirm }: CliContext): Promise<void> {
  if (confirm === undefined || (await confirm(`Abort ${shortRollout(rollout)}, wherever it is?`))) return;
  throw new CommandFailure(`${shortRollout(rollout)} goes on: nothing was aborted`);
}
