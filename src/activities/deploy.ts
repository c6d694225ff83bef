import { resolve } from 'node:path';
import { CancelledFailure, Context } from '@temporalio/activity';
import type { DeployActivities, DeployStageInput, SnapshotInput } from '../contracts/activities/delivery.ts';
import type { Deployer, Foreseeing, Target, Work } from '../deploys/deployer.ts';
import type { TurnGuard } from '../deploys/kit/turn-guard.ts';
import { Refusal } from '../domain/failures.ts';
import type { Deployed, OtherChanges, RunningImage, StageSnapshot } from '../domain/outcomes.ts';
import { type DeployPlan, isOnHost, type StagePlan } from '../domain/plan.ts';
import type { HostLock } from '../platform/files/host-lock.ts';
import type { Probes } from '../probes/index.ts';
import { answering } from './boundary.ts';

export interface DeployDependencies {
  /** One for each way of deploying. */
  readonly deployers: { readonly [Kind in DeployPlan['kind']]: Deployer<Extract<DeployPlan, { kind: Kind }>> };
  readonly probes: Pick<Probes, 'read'>;
  readonly turns: TurnGuard;
  readonly locks: HostLock;
}

export function createDeploy({ deployers, probes, turns, locks }: DeployDependencies): DeployActivities {
  /** One change at a time in a place, and none of a turn that is over. */
  const inTurn = (input: DeployStageInput, change: (way: Way, work: Work) => Promise<Deployed>) =>
    answering(() =>
      orCancelled(async (signal) => {
        const deploy = requireDeploy(input.stage);
        return await locks.hold(lockOf(input, deploy), signal, async () => {
          await turns.enter(input.plan.service, input.stage.name, input.turn);
          return await change(wayOf(deployers, input, deploy), workOf(input, signal));
        });
      }),
    )(input);

  return {
    snapshotStage: answering((input: SnapshotInput) => orCancelled((signal) => survey(input, signal))),
    deployStage: (input) => inTurn(input, (way, work) => way.deploy(work)),
    rollBackStage: (input) => inTurn(input, (way, work) => way.restore(input.before, work)),
    async discardPrevious(input) {
      const settle = answering(() =>
        orCancelled(async (signal) => {
          const { deploy } = input.stage;
          if (deploy !== undefined)
            await locks.hold(lockOf(input, deploy), signal, () => wayOf(deployers, input, deploy).settle());
        }),
      );
      // A forge that asks us to wait keeps nobody: what was kept stays until the next time.
      await settle(input);
    },
  };

  async function survey(input: SnapshotInput, signal: AbortSignal): Promise<StageSnapshot> {
    const { deploy, watch } = input.stage;
    const way = deploy && wayOf(deployers, input, deploy);
    const running = (await way?.running()) ?? [];
    const others = input.foresee ? await way?.foresee({ signal, ...acceptedOf(input) }) : undefined;
    const surveyed = { kind: 'snapshot', running, ...(others !== undefined && { others }) } as const;
    // Where nothing runs yet, there is nothing that could be healthy.
    const isFirst = isOnHost(deploy) && running.length === 0;
    if (watch === undefined || isFirst) return surveyed;
    const { unanswered, ...reading } = await probes.read(watch, running, signal, deploy);
    // Nobody could tell, so nothing is held against the time before.
    return { ...surveyed, ...(unanswered ? {} : { reading }) };
  }
}

/** The deployer of the stage's kind, for this target. */
interface Way {
  running(): Promise<readonly RunningImage[]>;
  foresee(foreseeing: Foreseeing): Promise<OtherChanges | undefined>;
  deploy(work: Work): Promise<Deployed>;
  restore(before: readonly RunningImage[], work: Work): Promise<Deployed>;
  settle(): Promise<void>;
}

type StageInput = Pick<DeployStageInput, 'plan' | 'stage' | 'image'>;

function wayOf(deployers: DeployDependencies['deployers'], { plan, stage, image }: StageInput, deploy: DeployPlan): Way {
  const target = { plan, stage, image, rollout: rolloutId() };
  if (deploy.kind === 'compose') return way(deployers.compose, { ...target, deploy });
  if (deploy.kind === 'docker') return way(deployers.docker, { ...target, deploy });
  if (deploy.kind === 'workflow') return way(deployers.workflow, { ...target, deploy });
  return way(deployers.deployment, { ...target, deploy });
}

function way<Deploy extends DeployPlan>(deployer: Deployer<Deploy>, target: Target<Deploy>): Way {
  return {
    running: () => deployer.running(target),
    foresee: async (foreseeing) => await deployer.foresee?.(target, foreseeing),
    deploy: (work) => deployer.deploy(target, work),
    restore: (before, work) => deployer.restore(target, before, work),
    settle: () => deployer.settle(target),
  };
}

function rolloutId(): string {
  const { workflowExecution } = Context.current().info;
  if (workflowExecution === undefined) throw new Error('a deploy is an activity of a rollout, and is not started by itself');
  return workflowExecution.workflowId;
}

function workOf(input: DeployStageInput, signal: AbortSignal): Work {
  const { turn, only } = input;
  const since = Context.current().info.scheduledTimestampMs;
  return { turn, since, signal, ...(only !== undefined && { only }), ...acceptedOf(input) };
}

function acceptedOf({ accepted }: Pick<DeployStageInput, 'accepted'>): Pick<Foreseeing, 'accepted'> {
  return accepted === undefined ? {} : { accepted };
}

function requireDeploy(stage: StagePlan): DeployPlan {
  if (stage.deploy !== undefined) return stage.deploy;
  throw new Refusal(
    'DeployRefused',
    `stage ${stage.name} has no deploy, so there is nothing to be done: something else deploys it`,
  );
}

/** Whatever must not be done twice at once: in a directory with compose files, or to the containers of a stage. */
function lockOf({ plan, stage }: StageInput, deploy: DeployPlan): string {
  return deploy.kind === 'compose' ? `compose ${resolve(deploy.directory)}` : `${deploy.kind} ${plan.service} ${stage.name}`;
}

/** Ends as cancelled, whatever the cancellation broke. What must not be cut off half-way, the deployers finish before. */
async function orCancelled<Result>(act: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const { cancellationSignal: signal } = Context.current();
  try {
    return await act(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CancelledFailure('the deploy was cancelled', [], error instanceof Error ? error : new Error(String(error)));
  }
}
