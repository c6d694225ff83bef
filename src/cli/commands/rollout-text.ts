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
import { isTryOf, type Retry, type RolloutNow } from '../../operations/index.ts';
import type { CliContext } from '../context.ts';
import { coloured, formatDuration, plain, table } from '../terminal.ts';
import { detailLines } from './step-details.ts';

/** A rollout as `landfall show` prints it: what it is, its steps, what blocks it, and what can be done. */
export function describeRollout(
  rollout: string,
  { execution, state, retries }: RolloutNow,
  context: Pick<CliContext, 'width' | 'env'>,
): string[] {
  const { image, steps, proposals, approvals = {}, waivers = [] } = state;
  const isOutside = execution !== 'running' && execution !== 'completed';
  const took = Date.parse(state.endedAt ?? new Date().toISOString()) - Date.parse(state.startedAt);
  const head = [
    ['rollout', rollout],
    ['service', state.service],
    ['image', `${image.repository}:${image.tag}`],
    ['digest', image.digest],
    [
      'status',
      coloured(isOutside ? execution : state.status, context) + (state.reason === undefined ? '' : `: ${plain(state.reason)}`),
    ],
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

/** What came out; of a step that is tried again, what went wrong the last time. */
function reasonOf({ step, status, reason = '' }: StepState, retries: readonly Retry[]): string {
  const retry = status === 'running' ? retries.find((candidate) => isTryOf(candidate, step)) : undefined;
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
function commandsFor(id: string, { step, stage, status, failure }: StepState): string[] {
  const stageOption = stage === undefined ? '' : ` --stage ${stage}`;
  const at = `${id} ${step}${stageOption}`;
  if (status === 'blocked') {
    const skip = maySkip({ step, ...(failure !== undefined && { failure }) }) ? [`landfall skip ${at} --reason TEXT`] : [];
    return [`landfall retry ${at}`, ...skip, `landfall reject ${at}`];
  }
  if (status !== 'waiting') return [];
  if (step === 'approve') return [`landfall approve ${id}${stageOption}`, `landfall reject ${at}`];
  return step === 'merge' ? [`landfall reject ${at}`] : [];
}
