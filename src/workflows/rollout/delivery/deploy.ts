import { log } from '@temporalio/workflow';
import type { Deployed, StageSnapshot } from '../../../domain/outcomes.ts';
import type { DeployPlan, StagePlan } from '../../../domain/plan.ts';
import { type Failure, failureOf, refusal } from '../../failure.ts';
import type { StageRun } from '../stage-run.ts';
import { onHost } from '../steps/proxies.ts';
import { type Handling, takeStep } from '../steps/take-step.ts';
import type { StageChange } from './merge.ts';

/** The new image is not healthy, and what ran before has to come back. Never leaves the workflow: `deliver` catches it. */
export class NotHealthy extends Error {
  /** The operator who decided that; absent: the probes did. */
  readonly by: string | undefined;

  constructor(reason: string, by?: string) {
    super(reason);
    this.name = 'NotHealthy';
    this.by = by;
  }
}

/** Deploys and watches, batch after batch. @throws NotHealthy */
export async function deployAndWatch(run: StageRun, change: StageChange): Promise<void> {
  const { stage, record } = run;
  const batches = batchesOf(stage.deploy, change.before);
  const texts: string[] = [];
  for (const [index, only] of batches.entries()) {
    const deployed = await deploy(run, change, only);
    texts.push(deployed.text);
    if (texts.length > 1) record.settle(run.at('deploy'), 'passed', texts.join('; then, once that was healthy, '));
    await watch(run, change, deployed, index === batches.length - 1);
  }
  if (stage.watch === undefined && stage.deploy !== undefined) await discardPrevious(run);
}

/** Removes what was kept for a rollback. Where that fails, it is kept a while longer, and nothing else is wrong. */
export async function discardPrevious(run: StageRun): Promise<void> {
  try {
    await onHost(run.stage).discardPrevious(run.input());
  } catch (error) {
    log.warn('what was kept for a rollback could not be removed', { stage: run.stage.name, message: failureOf(error).message });
  }
}

/** The first few first, where the plan says so; `undefined` is all that there is. */
function batchesOf(deploy: DeployPlan | undefined, { running }: StageSnapshot): (readonly string[] | undefined)[] {
  if (deploy === undefined || (deploy.canary === undefined && deploy.batch === undefined)) return [undefined];
  const names = running.map(({ name }) => name);
  const first = deploy.canary ?? deploy.batch ?? names.length;
  const batches = [names.slice(0, first)];
  const size = deploy.batch ?? names.length;
  for (let start = first; start < names.length; start += size) batches.push(names.slice(start, start + size));
  return batches;
}

async function deploy(
  run: StageRun,
  { allowed: { turn }, consent }: StageChange,
  only: readonly string[] | undefined,
): Promise<Deployed> {
  const { stage } = run;
  if (stage.deploy === undefined) return { kind: 'deployed', changed: false, running: [], text: '' };
  const { instead, ...rules } = handlingOf(stage, ({ type, message }) => (type === 'DeployFailed' ? message : undefined));
  const handling: Handling = { ...rules, instead: (failure) => consent.note(instead?.(failure) ?? failure) };
  for (;;) {
    const { accepted } = consent;
    const input = { ...run.input(), turn, ...(only !== undefined && { only }), ...(accepted !== undefined && { accepted }) };
    const outcome = await takeStep(run, run.at('deploy'), () => onHost(stage).deployStage(input), handling);
    if (outcome.kind !== 'skipped') return outcome;
    // Only what came along since the snapshot can be let through here.
    if (!consent.accept(outcome)) throw refusal('DeployFailed', 'a deploy cannot be skipped');
  }
}

async function watch(run: StageRun, { before, merged }: StageChange, { running }: Deployed, isLast: boolean): Promise<void> {
  const { stage, image } = run;
  if (stage.watch === undefined) return;
  const { digest, tag, revision } = image;
  const expected = { digest, tag, ...(revision !== undefined && { revision }), ...(merged && { commit: merged.commit }) };
  const input = { ...run.input(), expected, running, discardsPrevious: isLast };
  const wasHealthy = before.reading?.healthy ?? true;
  const handling: Handling = wasHealthy
    ? handlingOf(stage, ({ type, message }) => (type === 'Unhealthy' ? message : undefined))
    : { ...handlingOf(stage, () => undefined), instead: (failure) => unhealthyBefore(failure, before) };
  await takeStep(run, run.at('watch'), () => onHost(stage).watchStage(input), handling);
}

/**
 * Rolled back automatically where the stage is set to that, or when an operator rejects it. Where nobody decides, it failed.
 * @param unhealthy why the failure shows that the image is not healthy; undefined where it does not
 */
function handlingOf(stage: StagePlan, unhealthy: (failure: Failure) => string | undefined): Handling {
  return {
    undecided: 'failed',
    instead(failure) {
      const reason = unhealthy(failure);
      if (reason !== undefined && stage.rollback === 'auto') throw new NotHealthy(reason);
      return failure;
    },
    rejected(by, reason) {
      throw new NotHealthy(`rejected by ${by}${reason && `: ${reason}`}`, by);
    },
  };
}

/** What was unhealthy before is not blamed on the new image. */
function unhealthyBefore(failure: Failure, { reading }: StageSnapshot): Failure {
  if (failure.type !== 'Unhealthy' || reading === undefined) return failure;
  return {
    type: 'UnhealthyBefore',
    message: `it was unhealthy before the change already (${reading.text}, at ${reading.at}), and still is: ${failure.message}`,
    details: { before: reading, now: failure.details },
  };
}
