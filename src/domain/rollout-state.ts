import { latestThatStays } from './build.ts';
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

/** How a build ends beside: in the registry, or not where nothing was to be pushed. */
export const buildEnds = ['pushed', 'built'] as const;
export type RunEnd = End | (typeof buildEnds)[number];

/** `waiting`: for its turn, for a rate limit to pass. `blocked`: for an operator's decision. */
export const rolloutStatuses = ['running', 'waiting', 'blocked', ...ends] as const;
export type RolloutStatus = (typeof rolloutStatuses)[number];
export const runStatuses = [...rolloutStatuses, ...buildEnds] as const;
export type RunStatus = (typeof runStatuses)[number];

/** A build that came to what it was meant to. */
export function isGoodBuildEnd(status: string): boolean {
  return status === 'unchanged' || buildEnds.some((end) => end === status);
}

export function isEnd(status: RunStatus): status is RunEnd {
  return [...ends, ...buildEnds].some((end) => end === status);
}

/** It has ended, or nobody but an operator can move it. */
export function isSettled({ status }: Pick<RunState, 'status'>): boolean {
  return status === 'blocked' || isEnd(status);
}

/** `confirm`: is the image still what its tag is, now that the stage's turn has come? */
export const stageStepNames = ['confirm', 'dispatch', 'propose', 'approve', 'merge', 'deploy', 'watch', 'rollback'] as const;
/** `verify`, the kind of a check, or a step of a stage. */
export type StepName = string;

/** In the place of a stage, steps of a build have the platform that they are about; the name of a stage has no slash. */
function isPlatform(stage: string): boolean {
  return stage.includes('/');
}

/** What a build does itself; what stands between them are checks. */
export const stepsOfBuilds: readonly StepName[] = ['validate', 'exists', 'build', 'upload', 'push', 'hand-over'];

/** Without the other steps of a stage there would be nothing left to go on with. Changes besides the image may be let through knowingly. */
export function maySkip({ step, stage, failure }: Pick<StepState, 'step' | 'stage' | 'failure'>): boolean {
  if (stage === undefined) return step !== 'verify' && !stepsOfBuilds.includes(step);
  const isCheckOfBuild = isPlatform(stage) && !stepsOfBuilds.includes(step);
  return ['dispatch', 'watch', 'rollback'].includes(step) || failure === 'OtherChanges' || isCheckOfBuild;
}

/** What an operator can say to a rollout. */
export const decisionVerbs = ['approve', 'retry', 'renew', 'skip', 'reject', 'abort'] as const;
export type DecisionVerb = (typeof decisionVerbs)[number];

/**
 * What an operator can say to a step now; a rollout that goes on can be aborted besides. Blocked steps wait for a decision; a stage that
 * waits for its approval, or for a person's merge, can be rejected.
 */
export function decisionsFor(state: StepState): readonly Exclude<DecisionVerb, 'renew' | 'abort'>[] {
  if (state.status === 'blocked') return maySkip(state) ? ['retry', 'skip', 'reject'] : ['retry', 'reject'];
  if (state.status !== 'waiting') return [];
  if (state.step === 'approve') return ['approve', 'reject'];
  return state.step === 'merge' ? ['reject'] : [];
}

/** The step that a rollout which has not ended is at: what is blocked before what waits, and that before what runs. */
export function currentStep({ steps }: Pick<RunState, 'steps'>): StepState | undefined {
  for (const status of ['blocked', 'waiting', 'running']) {
    const found = steps.findLast((step) => step.status === status);
    if (found !== undefined) return found;
  }
  return undefined;
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
  /** What a person should see beside the reason: findings, log lines, readings. At most a few KiB. */
  readonly details?: unknown;
}

/** What an operator said to a rollout, as it was taken. */
export interface TakenDecision extends Attribution {
  readonly verb: DecisionVerb;
  readonly step?: StepName;
  readonly stage?: string;
  /** By a review at the forge, and not by the command, the API or the page. */
  readonly way?: 'review';
}

/** What a rollout, a rollback or a build says of itself: the answer of the query `state`, and the result of the workflow. */
export interface RunState {
  /** Or the name of the build. */
  readonly service: string;
  /** Of a build, what it is to be called; its digest is known once it is pushed. */
  readonly image: Omit<ImageIdentity, 'digest'> & Partial<Pick<ImageIdentity, 'digest'>>;
  readonly status: RunStatus;
  readonly reason?: string;
  readonly steps: readonly StepState[];
  /** By stage, as who approved it, if somebody had to. */
  readonly proposals: Readonly<Record<string, Proposal>>;
  readonly approvals?: Readonly<Record<string, readonly Approval[]>>;
  /** In order. Absent if nothing was skipped. */
  readonly waivers?: readonly Waiver[];
  /** In order, the newest of many. Absent if nobody decided anything. */
  readonly decisions?: readonly TakenDecision[];
  /** Fingerprint of the plan that a rollout began with: a configuration that has another one is newer. */
  readonly plan?: string;
  readonly startedAt: string;
  readonly changedAt: string;
  readonly endedAt?: string;
}

/** The same of a rollout, whose image is known from the beginning. */
export interface RolloutState extends RunState {
  readonly image: ImageIdentity;
  readonly status: RolloutStatus;
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
  /** `by` has logged in at the OpenID provider and is named as it names them; the proof is Landfall's own. */
  readonly login?: 'oidc';
  /** How many decisions there had been when the proof was made, so that it counts once. */
  readonly earlier?: number;
}

const marks = { pending: '▫️', running: '⏳', waiting: '⏸️', passed: '✅', blocked: '⛔', skipped: '⏭️', stopped: '⏹️' } as const;

/** Temporal calls all that have ended Completed, in green: what did not end well has a mark of its own. */
const statusMarks: Partial<Record<RunStatus, string>> = {
  blocked: '⛔ ',
  'rolled-back': '❌ ',
  failed: '❌ ',
  rejected: '❌ ',
  expired: '❌ ',
  aborted: '⏹️ ',
};

/** A rollout as Temporal's own page shows it to somebody who never saw our code, with what is asked of them. Markdown. */
export function rolloutInMarkdown(state: RunState): string {
  const { status, steps } = state;
  const lines = stateInMarkdown(state);
  const asking = steps.find(isApprovalAsked);
  if (asking !== undefined) lines.push('', `Waiting for an approval of ${asking.stage}: \`approve\` or \`reject\`.`);
  if (status === 'blocked') lines.push('', 'Waiting for a decision: `retry`, `skip` (needs a reason), `reject` or `abort`.');
  return lines.join('\n');
}

/** Its lines in Markdown: what it is, its steps, and its proposals. */
export function stateInMarkdown({ image, service, status, reason, steps, proposals }: RunState): string[] {
  return [
    `**${service}**: \`${image.repository}:${image.tag}\``,
    ...(image.digest === undefined ? [] : [`\`${image.digest}\``]),
    `Status: ${statusMarks[status] ?? ''}**${status}**${reason === undefined ? '' : `: ${reason}`}`,
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

/** @param workflow its id */
export function isBuild(workflow: string): boolean {
  return workflow.startsWith('build:');
}

/** The commands that decide about a blocked step. */
export function decisionAdvice(rollout: string, blocked: Pick<StepState, 'step' | 'stage' | 'failure'>): string {
  const id = shortRollout(rollout);
  const at = `${id} ${blocked.step}${blocked.stage === undefined ? '' : ` --stage ${blocked.stage}`}`;
  const skip = maySkip(blocked) ? `skip ${at} --reason TEXT, ` : '';
  return `decide: landfall retry ${at}, ${skip}reject ${at}, or abort ${id}`;
}

/** Also in the middle of a merge, which does not go on then. */
export function isApprovalAsked({ step, status }: Pick<StepState, 'step' | 'status'>): boolean {
  return step === 'approve' && status === 'waiting';
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
    return `the registry has it for ${names} (${megabytes(size)})${elsewhere}`;
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
  read: ({ target: { image, tag, folder } }) => `${image}:${tag}${folder === '' ? '' : ` of ${folder}`}`,
  asked: ({ digest }) => (digest === undefined ? 'the registry does not have the tag' : `the registry has the tag: ${digest}`),
  built: ({ image: { digest, size } }) => `${digest} (${megabytes(size)})`,
  'not-here': () => 'the machine that builds it does not run it',
  uploaded: ({ sentBytes }) => (sentBytes === 0 ? 'the registry had all of it' : `${megabytes(sentBytes)} sent`),
  pushed: ({ digest, tags, newerLatest }) =>
    tags.length === 0
      ? `somebody else pushed the tag meanwhile: ${digest}`
      : `${tags.join(', ')}: ${digest}${latestThatStays(newerLatest)}`,
  'handed-over': ({ rollouts }) => (rollouts.length === 0 ? 'no service follows it' : rollouts.map(shortRollout).join(', ')),
  'rate-limited': ({ until }) => `asked to wait until ${until}`,
};

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** What came out of a step, in one sentence for people. */
export function sentenceOf(outcome: StepOutcome): string {
  return sentenceAs(outcome.kind, outcome);
}

function sentenceAs<Kind extends keyof ByKind>(kind: Kind, outcome: ByKind[Kind]): string {
  return sentences[kind](outcome);
}
