import type { Command } from 'commander';
import { type Evidence, isEvidence, withoutQuotes } from '../../domain/evidence.ts';
import { nameOfPerson } from '../../domain/person.ts';
import {
  type Approval,
  ends,
  maySkip,
  type RolloutState,
  type StepState,
  shortRollout,
  waiverText,
} from '../../domain/rollout-state.ts';
import type { Retry, RolloutNow } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions, rolloutArgument } from '../context.ts';
import { coloured, formatDuration, plain, table } from '../terminal.ts';

export function addShow(program: Command, context: CliContext): void {
  const show = program
    .command('show')
    .description('show a rollout: its steps, what blocks it, and what can be done')
    .argument('<rollout>', rolloutArgument);
  addCommandOptions(show, context).action(async (text: string, { config, json }: CommandOptions) => {
    const operations = await import('../../operations/index.ts');
    const prefix = operations.parseInput(operations.rolloutPrefix, text);
    const { rollout, now } = await operations.withClient(config, context.env, async (client) => {
      const rollout = await operations.findRollout(client, prefix);
      return { rollout, now: await operations.readRollout(client, rollout) };
    });
    const { execution, state, retries } = now;
    if (json) return context.print(JSON.stringify({ rollout, execution, ...state, retries }, null, 2));
    for (const line of describeRollout(rollout, now, context)) context.print(line);
  });
}

/** A rollout as `landfall show` prints it: what it is, its steps, what blocks it, and what can be done. */
function describeRollout(
  rollout: string,
  { execution, state, retries }: RolloutNow,
  context: Pick<CliContext, 'width' | 'env'>,
): string[] {
  const { image, steps, proposals, approvals = {}, waivers = [] } = state;
  const isOutside = execution !== 'running' && execution !== 'completed';
  const took = Date.parse(state.endedAt ?? new Date().toISOString()) - Date.parse(state.startedAt);
  const reason = state.reason === undefined ? '' : `: ${plain(state.reason)}`;
  const head = [
    ['rollout', rollout],
    ['service', state.service],
    ['image', `${image.repository}:${image.tag}`],
    ['digest', image.digest],
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
  const next = isOutside ? [] : nextCommands(rollout, state);
  return [
    ...table(head),
    '',
    ...table(rows, context.width),
    ...steps.filter(({ status }) => status === 'blocked').flatMap(describeBlock),
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

/** The activities with a name of their own that are a part of a step. */
const activitiesOf = new Map([
  ['merge', ['surveyStage', 'mergeChange', 'baseHolds']],
  ['deploy', ['surveyStage', 'deployStage']],
  ['watch', ['watchStage']],
  ['rollback', ['mergeChange', 'baseHolds', 'watchStage', 'restoreStage', 'revertChange']],
]);

/** What came out; of a step that is tried again, what went wrong the last time. */
function reasonOf({ step, status, reason = '' }: StepState, retries: readonly Retry[]): string {
  const isOfStep = ({ step: activity }: Retry) => activity === step || activitiesOf.get(step)?.includes(activity);
  const retry = status === 'running' ? retries.find(isOfStep) : undefined;
  return plain(retry === undefined ? reason : `${retry.attempt > 1 ? `attempt ${retry.attempt}: ` : ''}${retry.lastFailure}`);
}

function stepDuration({ startedAt, endedAt }: StepState): string {
  if (startedAt === undefined) return '';
  return formatDuration((endedAt === undefined ? Date.now() : Date.parse(endedAt)) - Date.parse(startedAt));
}

/** What a person should see of a blocked step: findings as a table, log lines as they are, anything else as JSON. */
function describeBlock(step: StepState): string[] {
  const details = detailLines(step.details);
  const title = `${stepName(step)} is blocked${step.failure === undefined ? '' : ` (${step.failure})`}${details.length === 0 ? '' : ':'}`;
  return ['', title, ...details.map((line) => `  ${line}`)];
}

function nextCommands(rollout: string, { status, steps }: RolloutState): string[] {
  if (ends.some((end) => end === status)) return [];
  const id = shortRollout(rollout);
  return [...steps.flatMap((step) => commandsFor(id, step)), `landfall abort ${id}`];
}

/** Blocked steps wait for a decision; a stage that waits for its approval, or for a person's merge, can be rejected. */
function commandsFor(id: string, state: StepState): string[] {
  const { step, stage, status } = state;
  const stageOption = stage === undefined ? '' : ` --stage ${stage}`;
  const at = `${id} ${step}${stageOption}`;
  if (status === 'blocked') {
    const skip = maySkip(state) ? [`landfall skip ${at} --reason TEXT`] : [];
    return [`landfall retry ${at}`, ...skip, `landfall reject ${at}`];
  }
  if (status !== 'waiting') return [];
  if (step === 'approve') return [`landfall approve ${id}${stageOption}`, `landfall reject ${at}`];
  return step === 'merge' ? [`landfall reject ${at}`] : [];
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

function markedLines(log: string): string[] {
  return Array.from(log.trimEnd().split('\n'), (line) => `| ${line}`);
}

function cell(record: unknown, key: string): string {
  const value: unknown = record instanceof Object && Object.hasOwn(record, key) ? Reflect.get(record, key) : undefined;
  return value === undefined ? '' : String(value);
}
