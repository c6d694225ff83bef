import type { SmokeFailure } from '../domain/outcomes.ts';
import { ends, type RolloutState, type StepState, skippableSteps } from '../domain/rollout-state.ts';
import type { Retry, RolloutNow } from './rollout-now.ts';
import { shortId } from './rollouts.ts';
import { coloured, formatDuration, plain, type Surroundings, table } from './terminal.ts';

/** A rollout as `landfall show` prints it: what it is, its steps, what blocks it, and what can be done. */
export function describeRollout(
  rollout: string,
  { execution, state, retries }: RolloutNow,
  surroundings: Pick<Surroundings, 'width' | 'env'>,
): string[] {
  const { image, steps, proposals } = state;
  const isOutside = execution !== 'running' && execution !== 'completed';
  const took = Date.parse(state.endedAt ?? new Date().toISOString()) - Date.parse(state.startedAt);
  const head = [
    ['rollout', rollout],
    ['service', state.service],
    ['image', `${image.repository}:${image.tag}`],
    ['digest', image.digest],
    [
      'status',
      coloured(isOutside ? execution : state.status, surroundings) +
        (state.reason === undefined ? '' : `: ${plain(state.reason)}`),
    ],
    ['started', `${state.startedAt} (${state.endedAt === undefined ? 'for' : 'took'} ${formatDuration(took)})`],
    ...Object.entries(proposals).map(([stage, { url }]) => [`proposal`, `${stage}: ${url}`]),
  ];
  const rows = steps.map((step) => [
    `  ${stepName(step)}`,
    coloured(step.status, surroundings),
    stepDuration(step),
    reasonOf(step, retries),
  ]);
  const next = isOutside ? [] : nextCommands(rollout, state);
  return [
    ...table(head),
    '',
    ...table(rows, surroundings.width),
    ...steps.filter(({ status }) => status === 'blocked').flatMap(describeBlock),
    ...(next.length === 0 ? [] : ['', 'what can be done:', ...next.map((command) => `  ${command}`)]),
  ];
}

function stepName({ step, stage }: StepState): string {
  return stage === undefined ? step : `${stage} ▸ ${step}`;
}

/** What came out; of a step that is tried again, what went wrong the last time. */
function reasonOf({ step, status, reason = '' }: StepState, retries: readonly Retry[]): string {
  const retry = status === 'running' ? retries.find((candidate) => candidate.step === step) : undefined;
  return plain(retry === undefined ? reason : `attempt ${retry.attempt}: ${retry.lastFailure}`);
}

function stepDuration({ startedAt, endedAt }: StepState): string {
  if (startedAt === undefined) return '';
  return formatDuration((endedAt === undefined ? Date.now() : Date.parse(endedAt)) - Date.parse(startedAt));
}

/** What a person should see of a blocked step: findings as a table, log lines as they are, anything else as JSON. */
function describeBlock(step: StepState): string[] {
  const details = detailsOf(step.details);
  const title = `${stepName(step)} is blocked${step.failure === undefined ? '' : ` (${step.failure})`}${details.length === 0 ? '' : ':'}`;
  return ['', title, ...details.map((line) => `  ${line}`)];
}

function detailsOf(details: unknown): string[] {
  // A failure's details are a list; nearly always of one.
  if (Array.isArray(details)) return details.flatMap(detailsOf);
  if (details === undefined || details === null) return [];
  if (typeof details !== 'object') return String(details).split('\n');
  if ('worst' in details && Array.isArray(details.worst)) return findingsTable(details.worst);
  if ('log' in details && typeof details.log === 'string') return smokeLog({ platform: '', ...details, log: details.log });
  return JSON.stringify(details, null, 2).split('\n');
}

function findingsTable(findings: readonly unknown[]): string[] {
  const cell = (finding: unknown, key: string): string => {
    const value =
      typeof finding === 'object' && finding !== null ? Object.entries(finding).find(([name]) => name === key)?.[1] : undefined;
    return value === undefined ? '' : String(value);
  };
  const fixed = (finding: unknown): string =>
    cell(finding, 'fixed') === '' ? 'no fix yet' : `fixed in ${cell(finding, 'fixed')}`;
  return table(
    findings.map((finding) => [
      cell(finding, 'severity'),
      cell(finding, 'id'),
      `${cell(finding, 'where')} ${cell(finding, 'installed')}`.trim(),
      cell(finding, 'kind') === 'secret' ? 'secret' : fixed(finding),
      cell(finding, 'platform'),
      cell(finding, 'title'),
    ]),
  );
}

function smokeLog({ platform, exitCode, outOfMemory, log }: SmokeFailure): string[] {
  const facts = [
    ...(platform === '' ? [] : [`platform ${platform}`]),
    ...(exitCode === undefined ? [] : [`exit code ${exitCode}`]),
    ...(outOfMemory === true ? ['out of memory'] : []),
  ];
  const lines = log.trimEnd() === '' ? ['(no log lines)'] : log.trimEnd().split('\n');
  return [...(facts.length === 0 ? [] : [facts.join(', ')]), ...lines.map((line) => `| ${line}`)];
}

function nextCommands(rollout: string, { status, steps }: RolloutState): string[] {
  if (ends.some((end) => end === status)) return [];
  const id = shortId(rollout);
  const decisions = steps
    .filter((step) => step.status === 'blocked')
    .flatMap(({ step, stage }) => {
      const at = `${id} ${step}${stage === undefined ? '' : ` --stage ${stage}`}`;
      const skip = skippableSteps.includes(step) ? [`landfall skip ${at} --reason TEXT`] : [];
      return [`landfall retry ${at}`, ...skip, `landfall reject ${at}`];
    });
  return [...decisions, `landfall abort ${id}`];
}
