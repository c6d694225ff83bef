import { Context } from '@temporalio/activity';
import type { DeployActivities, DeployStageInput, SnapshotInput } from '../contracts/activities/delivery.ts';
import type { Deployer, Foreseeing, Target, Work } from '../deploys/deploy.ts';
import type { TurnGuard } from '../deploys/kit/turn-guard.ts';
import { Refusal } from '../domain/failures.ts';
import type { Deployed, StageSnapshot } from '../domain/outcomes.ts';
import type { DeployPlan, StagePlan } from '../domain/plan.ts';
import type { HostLock } from '../platform/files/host-lock.ts';
import type { Probes } from '../probes/index.ts';
import { answering, currentRun, orCancelled } from './boundary.ts';

export interface DeployDependencies {
  /** By kind. */
  readonly deployers: ReadonlyMap<string, Deployer>;
  readonly probes: Pick<Probes, 'read'>;
  readonly turns: TurnGuard;
  readonly locks: HostLock;
}

export function createDeploy({ deployers, probes, turns, locks }: DeployDependencies): DeployActivities {
  /** One change at a time for each lock, and none whose turn is over. */
  const inTurn = (input: DeployStageInput, change: (stageDeployer: StageDeployer, work: Work) => Promise<Deployed>) =>
    answering(() =>
      orCancelled('the deploy', async (signal) => {
        const stageDeployer = stageDeployerOf(deployers, input, requireDeploy(input.stage));
        return await locks.hold(lockOf(stageDeployer), signal, async () => {
          await turns.enter(input.plan.service, input.stage.name, input.turn);
          return await change(stageDeployer, workOf(input, signal));
        });
      }),
    )(input);

  return {
    snapshotStage: answering((input: SnapshotInput) => orCancelled('the deploy', (signal) => snapshotOf(input, signal))),
    deployStage: (input) => inTurn(input, ({ deployer, target }, work) => deployer.deploy(target, work)),
    rollBackStage: (input) => inTurn(input, ({ deployer, target }, work) => deployer.restore(target, input.before, work)),
    async discardPrevious(input) {
      const settle = answering(() =>
        orCancelled('the deploy', async (signal) => {
          const { deploy } = input.stage;
          if (deploy === undefined) return;
          const stageDeployer = stageDeployerOf(deployers, input, deploy);
          await locks.hold(lockOf(stageDeployer), signal, () => stageDeployer.deployer.settle(stageDeployer.target));
        }),
      );
      // A rate limit delays nobody: the previous containers then stay until the next deploy.
      await settle(input);
    },
  };

  async function snapshotOf(input: SnapshotInput, signal: AbortSignal): Promise<StageSnapshot> {
    const { deploy, watch } = input.stage;
    const stageDeployer = deploy && stageDeployerOf(deployers, input, deploy);
    const running = (await stageDeployer?.deployer.running(stageDeployer.target)) ?? [];
    const others = input.foresee
      ? await stageDeployer?.deployer.foresee?.(stageDeployer.target, { signal, ...acceptedOf(input) })
      : undefined;
    const snapshot = { kind: 'snapshot', running, ...(others !== undefined && { others }) } as const;
    // If nothing runs yet, there is nothing to probe.
    const isFirst = deploy?.host !== undefined && running.length === 0;
    if (watch === undefined || isFirst) return snapshot;
    const { unanswered, ...reading } = await probes.read(watch, running, signal, deploy);
    // No probe could answer, so the state before the deploy does not count as unhealthy.
    return { ...snapshot, ...(unanswered ? {} : { reading }) };
  }
}

/** The deployer of the stage's kind, and what it deploys. */
interface StageDeployer {
  readonly deployer: Deployer;
  readonly target: Target;
}

function stageDeployerOf(
  deployers: DeployDependencies['deployers'],
  { plan, stage, image }: Pick<DeployStageInput, 'plan' | 'stage' | 'image'>,
  { kind, settings }: DeployPlan,
): StageDeployer {
  const deployer = deployers.get(kind);
  if (deployer === undefined)
    throw new Error(`the plan of ${plan.service} deploys by ${kind}, which this worker does not know: start one that does`);
  return { deployer, target: { plan, stage, deploy: settings, image, rollout: currentRun(Context.current()).rollout } };
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

/** The lock for what must not run twice at once: the one that the deployer names, else that of the stage. */
function lockOf({ deployer, target }: StageDeployer): string {
  const { plan, stage, deploy } = target;
  return deployer.lockOf?.(deploy) ?? `${stage.deploy?.kind} ${plan.service} ${stage.name}`;
}
