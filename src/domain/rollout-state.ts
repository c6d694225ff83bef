import type { ImageIdentity, Proposal, StepOutcome } from './outcomes.ts';
import type { Attribution, Person } from './person.ts';

/** How a rollout ends. */
export const ends = [
  'delivered',
  'proposed',
  'unchanged',
  'superseded',
  'rejected',
  'expired',
  'rolled-back',
  'aborted',
  'failed',
] as const;
export type End = (typeof ends)[number];

/** `waiting`: for its turn, for a rate limit to pass. `blocked`: for an operator's decision. */
export const rolloutStatuses = ['running', 'waiting', 'blocked', ...ends] as const;
export type RolloutStatus = (typeof rolloutStatuses)[number];

/** It has ended, or nobody but an operator can move it. */
export function isSettled({ status }: Pick<RolloutState, 'status'>): boolean {
  return status === 'blocked' || ends.some((end) => end === status);
}

/** `confirm`: is the image still what its tag is, now that the stage's turn has come? */
export const stageStepNames = ['confirm', 'dispatch', 'propose', 'approve', 'merge', 'deploy', 'watch', 'rollback'] as const;
/** `verify`, the kind of a check, or a step of a stage. */
export type StepName = string;

/** Without the other steps of a stage there would be nothing left to go on with. Changes besides the image may be let through knowingly. */
export function maySkip({ step, stage, failure }: Pick<StepState, 'step' | 'stage' | 'failure'>): boolean {
  if (stage === undefined) return step !== 'verify';
  return ['dispatch', 'watch', 'rollback'].includes(step) || failure === 'OtherChanges';
}

/** A step, or a part of it, that an operator said to go on without. */
export interface Waiver extends Required<Attribution> {
  readonly step: StepName;
  /** Absent for checks. */
  readonly stage?: string;
  /** Only the changes besides the image were let through; the step itself is taken. Absent: the step was skipped. */
  readonly of?: 'other-changes';
}

export type StepStatus = 'pending' | 'running' | 'waiting' | 'passed' | 'blocked' | 'skipped' | 'stopped';

export interface StepState {
  readonly step: StepName;
  /** Absent for checks. */
  readonly stage?: string;
  readonly status: StepStatus;
  /** ISO 8601, UTC. */
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** One sentence: what came out, why it is blocked, or what it waits for. */
  readonly reason?: string;
  /** Type of the failure that blocks it. */
  readonly failure?: string;
  /** What a person should see beside the reason: findings, log lines. At most a few KiB. */
  readonly details?: unknown;
}

/** The answer of the query `state`, and the result of the workflow. */
export interface RolloutState {
  readonly service: string;
  readonly image: ImageIdentity;
  readonly status: RolloutStatus;
  readonly reason?: string;
  readonly steps: readonly StepState[];
  /** By stage, as who approved it, if somebody had to. */
  readonly proposals: Readonly<Record<string, Proposal>>;
  readonly approvals?: Readonly<Record<string, readonly Approval[]>>;
  /** In order. Absent if nothing was skipped. */
  readonly waivers?: readonly Waiver[];
  readonly startedAt: string;
  readonly changedAt: string;
  readonly endedAt?: string;
}

/** `verified`: proven by a token or a review at GitHub, not just typed by somebody with Temporal access. */
export interface Approval extends Attribution, Person {
  readonly way: 'decision' | 'review';
  /** The head of the proposal that was approved; absent if the stage proposes nothing. */
  readonly head?: string;
}

/** What an operator says to a step (or, for `abort`, to the rollout). `step` may be left out where only one step is blocked. */
export interface Decision {
  readonly step?: string;
  readonly stage?: string;
  /** Required for `skip`. */
  readonly reason?: string;
  /** Who decided. Anybody with Temporal access can type it: without a proof it counts as unverified. */
  readonly by?: string;
  /** What is approved: the digest, and the head of the proposal. A decision about others than the rollout's and the stage's is refused. */
  readonly digest?: string;
  readonly head?: string;
  /** Shows that `by` is who it says: see `domain/decision-proof.ts`. */
  readonly proof?: string;
  /** How many decisions there had been when the proof was made, so that it counts once. */
  readonly earlier?: number;
}

const marks = { pending: '▫️', running: '⏳', waiting: '⏸️', passed: '✅', blocked: '⛔', skipped: '⏭️', stopped: '⏹️' } as const;

/** A rollout as Temporal's own page shows it to somebody who never saw our code, with what is asked of them. Markdown. */
export function rolloutInMarkdown(state: RolloutState): string {
  const { status, steps } = state;
  const lines = stateInMarkdown(state);
  const asking = steps.find(({ step, status }) => step === 'approve' && status === 'waiting');
  if (asking !== undefined) lines.push('', `Waiting for an approval of ${asking.stage}: \`approve\` or \`reject\`.`);
  if (status === 'blocked') lines.push('', 'Waiting for a decision: `retry`, `skip` (needs a reason), `reject` or `abort`.');
  return lines.join('\n');
}

/** Its lines in Markdown: what it is, its steps, and its proposals. */
export function stateInMarkdown({ image, service, status, reason, steps, proposals }: RolloutState): string[] {
  return [
    `**${service}**: \`${image.repository}:${image.tag}\``,
    `\`${image.digest}\``,
    `Status: **${status}**${reason === undefined ? '' : `: ${reason}`}`,
    ...steps.map((step) => `- ${marks[step.status]} ${nameOf(step)}${step.reason === undefined ? '' : `: ${step.reason}`}`),
    ...Object.entries(proposals).map(([stage, { url }]) => `- ${stage}: ${url}`),
  ];
}

/** `watch (staging) skipped by ann: it is slow to start`. */
export function waiverText(waiver: Waiver): string {
  const what = waiver.of === 'other-changes' ? ': changes besides the image let through' : ' skipped';
  return `${nameOf(waiver)}${what} by ${waiver.by}: ${waiver.reason}`;
}

/** Without `rollout:`, as commands take it. */
export function shortRollout(rollout: string): string {
  return rollout.replace(/^rollout:/, '');
}

/** The commands that decide about a blocked step. */
export function decisionAdvice(rollout: string, blocked: Pick<StepState, 'step' | 'stage' | 'failure'>): string {
  const id = shortRollout(rollout);
  const at = `${id} ${blocked.step}${blocked.stage === undefined ? '' : ` --stage ${blocked.stage}`}`;
  const skip = maySkip(blocked) ? `skip ${at} --reason TEXT, ` : '';
  return `decide: landfall retry ${at}, ${skip}reject ${at}, or abort ${id}`;
}

/** `scan`, or `propose (staging)`. */
export function nameOf({ step, stage }: Pick<StepState, 'step' | 'stage'>): string {
  return stage === undefined ? step : `${step} (${stage})`;
}

type ByKind = { readonly [Outcome in StepOutcome as Outcome['kind']]: Outcome };

const sentences: { readonly [Kind in keyof ByKind]: (outcome: ByKind[Kind]) => string } = {
  verified: ({ image: { platforms, size }, tagIs }) => {
    const names = platforms.map(({ platform }) => platform).join(', ');
    const elsewhere = tagIs === undefined ? '' : `; the tag points to ${tagIs}`;
    return `the registry has it for ${names} (${(size / 1_000_000).toFixed(1)} MB)${elsewhere}`;
  },
  confirmed: () => 'the tag still points to it',
  moved: ({ digest }) => `the tag points to ${digest} by now`,
  checked: ({ text }) => text,
  dispatched: ({ event, repository }) => `${event} sent to ${repository}`,
  proposed: ({ proposal }) => proposal.url,
  unchanged: ({ base }) => `${base} has it already`,
  outdated: ({ tag }) => `the base branch has the later ${tag}`,
  ready: () => 'nothing but the merge is missing',
  merged: ({ commit, by }) => `${commit.slice(0, 12)} is in the base branch${by === undefined ? '' : `, merged by ${by}`}`,
  'not-yet': ({ reason }) => reason,
  queued: () => 'the merge queue has it',
  snapshot: ({ running }) =>
    `before: ${running.map(({ name, reference }) => `${name} runs ${reference}`).join(', ') || 'nothing ran'}`,
  deployed: ({ text }) => text,
  watched: ({ healthyAfterMs, readings, failed, slowestMs, proof }) => {
    const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
    const failures = failed === 0 ? '' : `, ${failed} of them failed`;
    const proven = proof === 'none' ? '' : `, digest proven by the ${proof}`;
    return `healthy after ${seconds(healthyAfterMs)}, ${readings} readings${failures}, slowest ${seconds(slowestMs)}${proven}`;
  },
  'rate-limited': ({ until }) => `asked to wait until ${until}`,
};

/** What came out of a step, in one sentence for people. */
export function sentenceOf(outcome: StepOutcome): string {
  return sentenceAs(outcome.kind, outcome);
}

function sentenceAs<Kind extends keyof ByKind>(kind: Kind, outcome: ByKind[Kind]): string {
  return sentences[kind](outcome);
}
