import type { Command } from 'commander';
import { isPartOf } from '../../contracts/activities/steps.ts';
import { messageOf } from '../../domain/errors.ts';
import { type Evidence, isEvidence, withoutQuotes } from '../../domain/evidence.ts';
import { nameOfPerson } from '../../domain/person.ts';
import {
  type Approval,
  decisionsFor,
  ends,
  isBuild,
  type RunState,
  type StepState,
  shortRollout,
  waiverText,
} from '../../domain/rollout-state.ts';
import { unlessUnanswered } from '../../operations/errors.ts';
import type { Operations, Retry, RolloutNow } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions, rolloutArgument } from '../context.ts';
import { withOperations } from '../reach.ts';
import { coloured, formatDuration, markedLines, plain, table } from '../terminal.ts';
import { createTimeline } from '../timeline.ts';

type ShowOptions = CommandOptions & { readonly watch?: boolean; readonly stage?: string };

export function addShow(program: Command, context: CliContext): void {
  const show = program
    .command('show')
    .description('show a rollout, of a service the newest: its steps, what blocks it, and what can be done')
    .argument('<rollout>', rolloutArgument)
    .option(
      '--stage <stage>',
      'of a service, the rollout that brought what this stage runs: who approved that, and what came of it',
    )
    .option('-w, --watch', 'follow it until it has ended or is blocked, a line for each step');
  addCommandOptions(show, context).action(async (text: string, options: ShowOptions) => {
    const { json, watch = false, stage } = options;
    const inputs = await import('../../operations/inputs.ts');
    const prefix = inputs.parseInput(inputs.rolloutPrefix, text);
    const { rollout, now, isOlder } = await withOperations(options, context, async (operations) => {
      const rollout =
        stage === undefined
          ? await operations.findRollout(prefix)
          : await rolloutOf(inputs.parseInput(inputs.serviceInput, text), stage, operations);
      if (watch) {
        const { follow } = await import('../../operations/following.ts');
        const seen = json ? () => undefined : createTimeline(context.print, 'start');
        // What is not there would be waited for.
        await operations.readRollout(rollout).catch((error: unknown) => {
          unlessUnanswered(error);
          context.warn(`${messageOf(error)}\n${rollout} is followed as soon as somebody answers.`);
        });
        await follow(operations, [rollout], { deadlineMs: watchForMs, seen });
        if (!json) context.print('');
      }
      const now = await operations.readRollout(rollout);
      const isAsked = !json && now.state.steps.some(({ status }) => status === 'blocked');
      return { rollout, now, isOlder: isAsked && (await operations.hasNewerPlan(rollout, now.state)) };
    });
    const { execution, state, retries } = now;
    if (json) return context.print(JSON.stringify({ rollout, execution, ...state, retries }, null, 2));
    for (const line of describeRollout(rollout, now, context)) context.print(line);
    if (isOlder)
      context.print(
        '\nlandfall.yaml says something else by now than when this rollout began: --with-new-configuration goes by that.',
      );
  });
}

async function rolloutOf(service: string, stage: string, operations: Operations): Promise<string> {
  const { rolloutIn } = await import('../../operations/lane-terms.ts');
  const { lane } = await operations.showLane(service);
  return rolloutIn(lane, service, stage);
}

/** Whoever watches ends it; no rollout waits for people so long. */
const watchForMs = 30 * 86_400_000;

/** A rollout as `landfall show` prints it: what it is, its steps, what blocks it, and what can be done. */
function describeRollout(
  rollout: string,
  { execution, state, retries }: RolloutNow,
  context: Pick<CliContext, 'width' | 'env' | 'command'>,
): string[] {
  const { image, steps, proposals, approvals = {}, waivers = [] } = state;
  const isOutside = execution !== 'running' && execution !== 'completed';
  const took = Date.parse(state.endedAt ?? new Date().toISOString()) - Date.parse(state.startedAt);
  const reason = state.reason === undefined ? '' : `: ${plain(state.reason)}`;
  const head = [
    ['rollout', rollout],
    ['service', state.service],
    ['image', `${image.repository}:${image.tag}`],
    ...(image.digest === undefined ? [] : [['digest', image.digest]]),
    ['status', coloured(isOutside ? execution : state.status, context) + reason],
    ['started', `${state.startedAt} (${state.endedAt === undefined ? 'for' : 'took'} ${formatDuration(took)})`],
    ...Object.entries(proposals).map(([stage, { url }]) => [`proposal`, `${stage}: ${url}`]),
    ...waivers.map((waiver) => ['skipped', `${waiver.at}: ${plain(waiverText(waiver))}`]),
    ...Object.entries(approvals).flatMap(([stage, given]) =>
      given.map((approval) => ['approved', `${stage}: ${approvalText(approval)}`]),
    ),
  ];
  const rows = steps.map((step) => [
    `  ${stepName(step)}`,
    coloured(step.status, context),
    stepDuration(step),
    reasonOf(step, retries),
  ]);
  const next = isOutside ? [] : nextCommands(rollout, state, context);
  return [
    ...table(head),
    '',
    ...table(rows, context.width),
    ...steps
      .filter(({ status, details }) => status === 'blocked' || (status === 'stopped' && details !== undefined))
      .flatMap(describeBlock),
    ...(next.length === 0 ? [] : ['', 'what can be done:', ...next.map((command) => `  ${command}`)]),
  ];
}

function approvalText({ by, reason, at, verified, way }: Approval): string {
  const how = way === 'review' ? ' by a review' : '';
  return `${nameOfPerson({ by: plain(by), verified })}${how}, ${at}${reason === undefined ? '' : `: ${plain(reason)}`}`;
}

function stepName({ step, stage }: StepState): string {
  return stage === undefined ? step : `${stage} ▸ ${step}`;
}

/** What came out; of a step that is tried again, what went wrong the last time. */
function reasonOf({ step, status, reason = '' }: StepState, retries: readonly Retry[]): string {
  const retry = status === 'running' ? retries.find(({ step: activity }) => isPartOf(step, activity)) : undefined;
  return plain(retry === undefined ? reason : `${retry.attempt > 1 ? `attempt ${retry.attempt}: ` : ''}${retry.lastFailure}`);
}

function stepDuration({ startedAt, endedAt }: StepState): string {
  if (startedAt === undefined) return '';
  return formatDuration((endedAt === undefined ? Date.now() : Date.parse(endedAt)) - Date.parse(startedAt));
}

/** What a person should see of a blocked step: findings as a table, log lines as they are, anything else as JSON. */
function describeBlock(step: StepState): string[] {
  const details = detailLines(step.details);
  const title = `${stepName(step)} ${step.status === 'blocked' ? 'is blocked' : 'was stopped'}${step.failure === undefined ? '' : ` (${step.failure})`}${details.length === 0 ? '' : ':'}`;
  return ['', title, ...details.map((line) => `  ${line}`)];
}

function nextCommands(rollout: string, state: RunState, { command }: Pick<CliContext, 'command'>): string[] {
  const { status, steps } = state;
  if (ends.some((end) => end === status)) return [];
  const id = shortRollout(rollout);
  const again = whatBeginsAnew(rollout, state, command);
  const what = isBuild(rollout) ? 'build' : 'rollout';
  return [
    ...steps.flatMap((step) => commandsFor(id, step)),
    `abort ${id}`,
    ...(again === undefined ? [] : [`${again}    # with a corrected landfall.yaml: a ${what} keeps the one that it began with`]),
  ].map((words) => `${command} ${words}`);
}

/** Who has corrected it would see the same failure again. A rollback goes by the plan that brought the image, whatever is corrected since. */
function whatBeginsAnew(rollout: string, { steps, service, image, plan }: RunState, command: string): string | undefined {
  const id = shortRollout(rollout);
  const blocked = steps.find(({ status }) => status === 'blocked');
  if (blocked === undefined || rollout.startsWith('rollback:')) return undefined;
  if (isBuild(rollout)) return `abort ${id} && ${command} build ${service}`;
  // A worker of an earlier version does not say by which plan it goes, and does not begin it anew.
  if (plan === undefined) return `abort ${id} && ${command} trigger ${image.repository}:${image.tag}`;
  return `retry ${stepWords(id, blocked)} --with-new-configuration`;
}

function stepWords(id: string, { step, stage }: StepState): string {
  return `${id} ${step}${stage === undefined ? '' : ` --stage ${stage}`}`;
}

function commandsFor(id: string, state: StepState): string[] {
  const stage = state.stage === undefined ? '' : ` --stage ${state.stage}`;
  const step = stepWords(id, state);
  const words = { approve: `${id}${stage}`, retry: step, skip: `${step} --reason TEXT`, reject: step };
  return decisionsFor(state).map((verb) => `${verb} ${words[verb]}`);
}

/**
 * What a person should see of a blocked step: what a check found, readings of its health, log lines as they are, anything else as JSON.
 * Details come from workers of any version, so nothing about their shape is taken for granted.
 */
export function detailLines(details: unknown): string[] {
  // A failure's details are a list; nearly always of one.
  if (Array.isArray(details)) return details.flatMap(detailLines);
  if (details === undefined || details === null) return [];
  if (typeof details !== 'object') return String(details).split('\n');
  if (isEvidence(details)) return evidenceLines(details);
  if ('before' in details && 'now' in details && isReading(details.before)) {
    return ['before the change:', ...readingsTable([details.before]), 'after it:', ...detailLines(details.now)];
  }
  if ('changes' in details && Array.isArray(details.changes)) return otherChanges(details, details.changes);
  if (isReading(details)) return readingsTable([details]);
  if ('failures' in details && Array.isArray(details.failures)) return healthLines(details, details.failures);
  if ('log' in details && typeof details.log === 'string') return logLines(details.log);
  return JSON.stringify(details, null, 2).split('\n');
}

/** What comes along besides the image, and who brought it. */
function otherChanges(details: object, changes: readonly unknown[]): string[] {
  const commits = 'commits' in details && Array.isArray(details.commits) ? details.commits : [];
  const more = cell(details, 'more');
  return [
    ...changes.map((change) => plain(String(change))),
    ...(more === '' ? [] : [`and ${more} more`]),
    ...(commits.length === 0 ? [] : ['brought by:']),
    ...table(commits.map((commit) => [cell(commit, 'commit'), plain(cell(commit, 'author')), plain(cell(commit, 'subject'))])),
  ];
}

/** What a check found: in one line, and then in columns, one by one, or as a log. */
function evidenceLines({ title, text, items = [], rows, log }: Evidence): string[] {
  const details = rows ?? items.map(({ label = '', text }) => [label, withoutQuotes(text)]);
  return [
    plain(`${title}: ${withoutQuotes(text)}`),
    ...table(details.map((cells) => cells.map(plain))),
    ...(log === undefined ? [] : logLines(log)),
  ];
}

/** How often it was looked at, the readings that decided, and what the container said. */
function healthLines(details: object, failures: readonly unknown[]): string[] {
  const slowest = Number(cell(details, 'slowestMs'));
  const facts = [
    `${cell(details, 'failed')} of ${cell(details, 'readings')} readings failed`,
    ...(Number.isFinite(slowest) ? [`slowest ${formatDuration(slowest)}`] : []),
  ];
  const log = cell(details, 'log');
  return [facts.join(', '), ...readingsTable(failures), ...(log === '' ? [] : markedLines(log))];
}

function isReading(details: unknown): boolean {
  return typeof details === 'object' && details !== null && 'healthy' in details && 'text' in details;
}

function readingsTable(readings: readonly unknown[]): string[] {
  return table(
    readings.map((reading) => [
      cell(reading, 'at'),
      cell(reading, 'healthy') === 'true' ? 'healthy' : 'unhealthy',
      plain(cell(reading, 'text')),
    ]),
  );
}

function logLines(log: string): string[] {
  return log.trimEnd() === '' ? ['(no log lines)'] : markedLines(log);
}

function cell(record: unknown, key: string): string {
  const value: unknown = record instanceof Object && Object.hasOwn(record, key) ? Reflect.get(record, key) : undefined;
  return value === undefined ? '' : String(value);
}
