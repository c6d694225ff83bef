import type { Command } from 'commander';
import { hashOfToken, shortestToken } from '../../domain/decision-proof.ts';
import { nameOfPerson } from '../../domain/person.ts';
import { shortRollout, waiverText } from '../../domain/rollout-state.ts';
import type { Actor, DecisionVerb } from '../../operations/index.ts';
import type { CliContext } from '../context.ts';
import { CommandFailure, UsageFailure } from '../errors.ts';
import { asOption, configOption, jsonOption, nameOf, reasonOption, rolloutArgument } from '../options.ts';
import { plain } from '../terminal.ts';

interface DecideOptions {
  readonly config: string;
  readonly stage?: string;
  readonly reason?: string;
  /** Name of the operator, where it is not that of the context. */
  readonly as?: string;
  readonly json?: boolean;
  /** Aborts without asking whether that is meant. */
  readonly yes?: boolean;
}

/** What operators decide about a rollout. */
export function addDecisions(program: Command, context: CliContext): void {
  const add = (verb: DecisionVerb, description: string) =>
    program.command(verb).description(description).argument('<rollout>', rolloutArgument);
  const addCommon = (command: Command) =>
    command.addOption(reasonOption()).addOption(asOption()).addOption(jsonOption()).addOption(configOption(context));
  addCommon(
    add('approve', 'let a rollout go on into a stage that waits for approval; it holds for this digest alone').option(
      '--stage <name>',
      'the stage, where more than one waits',
    ),
  ).action((rollout: string, options: DecideOptions) => decide('approve', { rollout }, options, context));
  for (const [verb, description] of [
    ['retry', 'try a blocked step again'],
    ['skip', 'go on without a blocked step: a waiver, which needs a reason'],
    ['reject', 'end the rollout because of a step that is blocked or waits for people, and quarantine its digest'],
  ] as const) {
    addCommon(
      add(verb, description)
        .argument('[step]', 'the step, where more than one is blocked')
        .option('--stage <name>', 'the stage of the step'),
    ).action((rollout: string, step: string | undefined, options: DecideOptions) =>
      decide(verb, { rollout, step }, options, context),
    );
  }
  addCommon(add('abort', 'stop a rollout, wherever it is').option('-y, --yes', 'do not ask whether it is meant')).action(
    (rollout: string, options: DecideOptions) => decide('abort', { rollout }, options, context),
  );
}

const pastTense = { approve: 'approved', retry: 'retried', skip: 'skipped', reject: 'rejected', abort: 'being aborted' } as const;

async function decide(
  verb: DecisionVerb,
  about: { readonly rollout: string; readonly step?: string | undefined },
  options: DecideOptions,
  context: CliContext,
): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const { stage, reason } = options;
  const input = operations.parseInput(operations.decisionInput, { ...about, verb, stage, reason });
  const actor = await actorOf(options, context);
  await operations.withClient(operations.temporalTarget(options.config, context.env), async (client) => {
    const rollout = await operations.findRollout(client, input.rollout);
    if (verb === 'abort' && !options.yes) await confirmAbort(rollout, context);
    const { digest } = await operations.decide(client, rollout, input, actor);
    const what = digest ?? input.step;
    const by = nameOfPerson({ by: actor.name, verified: actor.tokenHash !== undefined });
    if (!options.json)
      context.print(`${shortRollout(rollout)}: ${what === undefined ? '' : `${what} `}${pastTense[verb]} by ${by}`);
    // The update itself answers with the state from before the rollout went on.
    const { state } = await operations.readRollout(client, rollout);
    if (options.json) return context.print(JSON.stringify({ rollout, ...state }, null, 2));
    // Whoever approves has to know what was not checked.
    const waivers = verb === 'approve' ? (state.waivers ?? []) : [];
    for (const waiver of waivers) context.print(`  ${plain(waiverText(waiver))}`);
    context.print(`now ${state.status}${state.reason === undefined ? '' : `: ${plain(state.reason)}`}`);
  });
}

/** @throws UsageFailure where LANDFALL_TOKEN cannot be a token */
async function actorOf(options: Pick<DecideOptions, 'as'>, context: CliContext): Promise<Actor> {
  const name = nameOf(options, context);
  const token = context.env.LANDFALL_TOKEN?.trim();
  if (!token) return { name };
  if (token.length >= shortestToken) return { name, tokenHash: await hashOfToken(token) };
  throw new UsageFailure(
    `expected a token of at least ${shortestToken} characters in LANDFALL_TOKEN (landfall operator token makes one), found ${token.length}`,
  );
}

async function confirmAbort(rollout: string, { confirm }: CliContext): Promise<void> {
  if (confirm === undefined || (await confirm(`Abort ${shortRollout(rollout)}, wherever it is?`))) return;
  throw new CommandFailure(`${shortRollout(rollout)} goes on: nothing was aborted`);
}
