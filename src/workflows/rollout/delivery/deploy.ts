import { log } from '@temporalio/workflow';
import { toldChanges } from '../../../domain/other-changes.ts';
import type { Deployed, OtherChanges, Skipped, Survey, VerifiedImage } from '../../../domain/outcomes.ts';
import type { DeployPlan, StagePlan, WatchPlan } from '../../../domain/plan.ts';
import type { Rollout } from '../context.ts';
import type { StepAt } from '../record.ts';
import { onHost } from '../steps/proxies.ts';
import { type Failure, failureOf, type Handling, refusal, takeStep } from '../steps/take-step.ts';

/** The new image does not do, and what ran before comes back. Never leaves the workflow: whoever delivers a stage catches it. */
export class NotHealthy extends Error {
  /** Who decided that: an operator, or nobody but the readings. */
  readonly by: string | undefined;

  constructor(reason: string, by?: string) {
    super(reason);
    this.name = 'NotHealthy';
    this.by = by;
  }
}

/** What a stage is being brought to. */
export interface Bringing {
  readonly run: Rollout;
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
  readonly turn: number;
  readonly survey: Survey;
  /** The commit that the base branch got, where something was merged. */
  readonly commit?: string;
  /** What besides the image was agreed to; may become more while it is brought. */
  readonly agreed: Agreed;
}

/** What a stage may change besides the image, by what an operator said. */
export interface Agreed {
  /** Fingerprint of the changes. */
  accepted?: string;
  /** Who accepted them, and why: `ann: it is meant`. */
  by?: string;
  /** What comes along, as far as anybody saw. */
  others?: OtherChanges;
}

/** `web: command changed (1a2b3c4d5e6f by Bob: ...), let through by ann: it is meant`; undefined where nothing comes along. */
export function alongOf({ others, accepted, by }: Agreed): string | undefined {
  if (others === undefined) return undefined;
  return `${toldChanges(others)}${others.fingerprint === accepted ? `, let through by ${by}` : ''}`;
}

function accept(agreed: Agreed, others: OtherChanges, { by, reason }: Skipped): void {
  agreed.accepted = others.fingerprint;
  agreed.by = `${by}: ${reason}`;
}

/** What runs, and whether it is healthy, before anything changes. @param at the step that people see blocked where nobody can tell */
export async function survey(run: Rollout, stage: StagePlan, image: VerifiedImage, at: StepAt): Promise<Survey> {
  return await surveyed(run, stage, image, at, undefined);
}

/**
 * The same, where a change is to come: what would be refused is, and an operator decides on what comes along besides the image.
 * @param agreed gets what was found and said
 */
export async function surveyChange(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  at: StepAt,
  agreed: Agreed,
): Promise<Survey> {
  const survey = await surveyed(run, stage, image, at, agreed);
  if (survey.others !== undefined) agreed.others = survey.others;
  return survey;
}

async function surveyed(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  at: StepAt,
  agreed: Agreed | undefined,
): Promise<Survey> {
  if (stage.deploy === undefined && stage.watch === undefined) return { kind: 'surveyed', running: [] };
  const look = () =>
    onHost(stage).surveyStage({ plan: run.start.plan, stage, image, ...(agreed !== undefined && foreseeing(agreed)) });
  const handling: Handling = { continues: true, ...(agreed !== undefined && { instead: (failure) => noted(failure, agreed) }) };
  for (;;) {
    const outcome = await takeStep(run, at, look, handling);
    if (outcome.kind !== 'skipped') return outcome;
    // Only what comes along can be let through here: it is looked at once more, so that nothing else came meanwhile.
    if (agreed?.others === undefined) return { kind: 'surveyed', running: [] };
    accept(agreed, agreed.others, outcome);
  }
}

function foreseeing({ accepted }: Agreed) {
  return { foresee: true, ...(accepted !== undefined && { accepted }) };
}

/** An operator who skips it says yes to these very changes. */
function noted(failure: Failure, agreed: Agreed): Failure {
  const found = failure.type === 'OtherChanges' ? (failure.details as OtherChanges | undefined) : undefined;
  if (found !== undefined) agreed.others = found;
  return failure;
}

/** Deploys and watches, batch after batch. @throws NotHealthy */
export async function bring(bringing: Bringing): Promise<void> {
  const { run, stage, image } = bringing;
  const batches = batchesOf(stage.deploy, bringing.survey);
  const told: string[] = [];
  for (const [index, only] of batches.entries()) {
    const deployed = await deploy(bringing, only);
    told.push(deployed.text);
    const at = { step: 'deploy', stage: stage.name } as const;
    if (told.length > 1) run.record.settle(at, 'passed', told.join('; then, once that was healthy, '));
    await watch(bringing, deployed, { settles: index === batches.length - 1 });
  }
  if (stage.watch === undefined && stage.deploy !== undefined) {
    await settle(run, stage, image);
  }
}

/** What was kept for going back is given up. Where that fails, it is kept a while longer, and nothing else is wrong. */
export async function settle(run: Rollout, stage: StagePlan, image: VerifiedImage): Promise<void> {
  try {
    await onHost(stage).settleStage({ plan: run.start.plan, stage, image });
  } catch (error) {
    log.warn('what was kept for going back could not be given up', { stage: stage.name, message: failureOf(error).message });
  }
}

/** The first few first, where the plan says so; `undefined` is all that there is. */
function batchesOf(deploy: DeployPlan | undefined, { running }: Survey): (readonly string[] | undefined)[] {
  if (deploy?.kind !== 'docker' || (deploy.canary === undefined && deploy.batch === undefined)) return [undefined];
  const names = running.map(({ name }) => name);
  const first = deploy.canary ?? deploy.batch ?? names.length;
  const batches = [names.slice(0, first)];
  const size = deploy.batch ?? names.length;
  for (let start = first; start < names.length; start += size) batches.push(names.slice(start, start + size));
  return batches;
}

async function deploy({ run, stage, image, turn, agreed }: Bringing, only: readonly string[] | undefined): Promise<Deployed> {
  if (stage.deploy === undefined) return { kind: 'deployed', changed: false, running: [], text: '' };
  const input = { plan: run.start.plan, stage, image, turn, ...(only !== undefined && { only }) };
  const { instead, ...rules } = handlingOf(stage, ({ type, message }) => (type === 'DeployFailed' ? message : undefined));
  const handling: Handling = { ...rules, instead: (failure) => noted(instead?.(failure) ?? failure, agreed) };
  for (;;) {
    const { accepted } = agreed;
    const act = () => onHost(stage).deployStage({ ...input, ...(accepted !== undefined && { accepted }) });
    const outcome = await takeStep(run, { step: 'deploy', stage: stage.name }, act, handling);
    if (outcome.kind !== 'skipped') return outcome;
    // Only what came along since the last look can be let through here.
    if (agreed.others === undefined || agreed.others.fingerprint === accepted)
      throw refusal('DeployFailed', 'a deploy cannot be skipped');
    accept(agreed, agreed.others, outcome);
  }
}

async function watch(
  { run, stage, image, survey: before, commit }: Bringing,
  { running }: Deployed,
  { settles }: { readonly settles: boolean },
): Promise<void> {
  if (stage.watch === undefined) return;
  const { digest, tag, revision } = image;
  const expected = { digest, tag, ...(revision !== undefined && { revision }), ...(commit !== undefined && { commit }) };
  const input = { plan: run.start.plan, stage, image, expected, running, settles };
  const wasHealthy = before.reading?.healthy ?? true;
  const handling: Handling = wasHealthy
    ? handlingOf(stage, ({ type, message }) => (type === 'Unhealthy' ? message : undefined))
    : { ...handlingOf(stage, () => undefined), instead: (failure) => unhealthyBefore(failure, before) };
  await takeStep(run, { step: 'watch', stage: stage.name }, () => onHost(stage).watchStage(input), handling);
}

/** By itself, or when an operator rejects it: what ran before comes back. Where nobody decides, it failed. */
function handlingOf({ rollback }: StagePlan, verdictOf: (failure: Failure) => string | undefined): Handling {
  return {
    undecided: 'failed',
    instead(failure) {
      const verdict = verdictOf(failure);
      if (verdict !== undefined && rollback === 'auto') throw new NotHealthy(verdict);
      return failure;
    },
    rejected(by, reason) {
      throw new NotHealthy(`rejected by ${by}${reason && `: ${reason}`}`, by);
    },
  };
}

/** What was unhealthy before is not blamed on the new image. */
function unhealthyBefore(failure: Failure, { reading }: Survey): Failure {
  if (failure.type !== 'Unhealthy' || reading === undefined) return failure;
  return {
    type: 'UnhealthyBefore',
    message: `it was unhealthy before the change already (${reading.text}, at ${reading.at}), and still is: ${failure.message}`,
    details: { before: reading, now: failure.details },
  };
}

/** After a roll-back it is enough to see that it is back. */
export function shortened(watch: WatchPlan): WatchPlan {
  const forMs = Math.min(watch.forMs, 30_000);
  return { ...watch, forMs, withinMs: Math.max(watch.withinMs - watch.forMs + forMs, forMs + 60_000) };
}
