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
  /** One change at a time for each lock, and none whose turn is over. */
  const inTurn = (input: DeployStageInput, change: (deployer: StageDeployer, work: Work) => Promise<Deployed>) =>
    answering(() =>
      orCancelled(async (signal) => {
        const deploy = requireDeploy(input.stage);
        return await locks.hold(lockOf(input, deploy), signal, async () => {
          await turns.enter(input.plan.service, input.stage.name, input.turn);
          return await change(stageDeployerOf(deployers, input, deploy), workOf(input, signal));
        });
      }),
    )(input);

  return {
    snapshotStage: answering((input: SnapshotInput) => orCancelled((signal) => snapshotOf(input, signal))),
    deployStage: (input) => inTurn(input, (deployer, work) => deployer.deploy(work)),
    rollBackStage: (input) => inTurn(input, (deployer, work) => deployer.restore(input.before, work)),
    async discardPrevious(input) {
      const settle = answering(() =>
        orCancelled(async (signal) => {
          const { deploy } = input.stage;
          if (deploy !== undefined)
            await locks.hold(lockOf(input, deploy), signal, () => stageDeployerOf(deployers, input, deploy).settle());
        }),
      );
      // A rate limit delays nobody: the previous containers then stay until the next deploy.
      await settle(input);
    },
  };

  async function snapshotOf(input: SnapshotInput, signal: AbortSignal): Promise<StageSnapshot> {
    const { deploy, watch } = input.stage;
    const deployer = deploy && stageDeployerOf(deployers, input, deploy);
    const running = (await deployer?.running()) ?? [];
    const others = input.foresee ? await deployer?.foresee({ signal, ...acceptedOf(input) }) : undefined;
    const snapshot = { kind: 'snapshot', running, ...(others !== undefined && { others }) } as const;
    // If nothing runs yet, there is nothing to probe.
    const isFirst = isOnHost(deploy) && running.length === 0;
    if (watch === undefined || isFirst) return snapshot;
    const { unanswered, ...reading } = await probes.read(watch, running, signal, deploy);
    // No probe could answer, so the state before the deploy does not count as unhealthy.
    return { ...snapshot, ...(unanswered ? {} : { reading }) };
  }
}

/** The deployer of the stage's kind, for this target. */
interface StageDeployer {
  running(): Promise<readonly RunningImage[]>;
  foresee(foreseeing: Foreseeing): Promise<OtherChanges | undefined>;
  deploy(work: Work): Promise<Deployed>;
  restore(before: readonly RunningImage[], work: Work): Promise<Deployed>;
  settle(): Promise<void>;
}

type DeployTargetInput = Pick<DeployStageInput, 'plan' | 'stage' | 'image'>;

function stageDeployerOf(
  deployers: DeployDependencies['deployers'],
  { plan, stage, image }: DeployTargetInput,
  deploy: DeployPlan,
): StageDeployer {
  const target = { plan, stage, image, rollout: rolloutId() };
  if (deploy.kind === 'compose') return bindDeployer(deployers.compose, { ...target, deploy });
  if (deploy.kind === 'docker') return bindDeployer(deployers.docker, { ...target, deploy });
  if (deploy.kind === 'workflow') return bindDeployer(deployers.workflow, { ...target, deploy });
  return bindDeployer(deployers.deployment, { ...target, deploy });
}

function bindDeployer<Deploy extends DeployPlan>(deployer: Deployer<Deploy>, target: Target<Deploy>): StageDeployer {
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

/** The lock for what must not run twice at once: in a directory with compose files, or on the containers of a stage. */
function lockOf({ plan, stage }: DeployTargetInput, deploy: DeployPlan): string {
  return deploy.kind === 'compose' ? `compose ${resolve(deploy.directory)}` : `${deploy.kind} ${plan.service} ${stage.name}`;
}

/** Ends as cancelled, whatever error the cancellation caused. Deployers first finish what must not be interrupted. */
async function orCancelled<Result>(act: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const { cancellationSignal: signal } = Context.current();
  try {
    return await act(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CancelledFailure('the deploy was cancelled', [], error instanceof Error ? error : new Error(String(error)));
  }
}
