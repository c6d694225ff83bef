import { Context } from '@temporalio/activity';
import type { DeployActivities, DeployStageInput, RollbackInput, SnapshotInput } from '../contracts/activities/delivery.ts';
import type { Deployer, Target, Work } from '../deploys/deploy.ts';
import { Refusal } from '../domain/failures.ts';
import type { Deployed, StageSnapshot } from '../domain/outcomes.ts';
import type { DeployPlan } from '../domain/plan.ts';
import { answering, currentRun, orCancelled } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';

export type DeployDependencies = Pick<Dependencies, 'deployers' | 'probes' | 'turns' | 'locks'>;

/** The deployer of the stage's kind, and what it deploys. */
interface StageDeployer {
  readonly deployer: Deployer;
  readonly target: Target;
}

export function createDeploy({ deployers, probes, turns, locks }: DeployDependencies): DeployActivities {
  /** One change at a time for each lock: the one that the deployer names, else that of the stage. */
  const locked = async <Done>(
    input: Omit<SnapshotInput, 'foresee'>,
    deploy: DeployPlan,
    signal: AbortSignal,
    act: (stageDeployer: StageDeployer) => Promise<Done>,
  ): Promise<Done> => {
    const stageDeployer = stageDeployerOf(deployers, input, deploy);
    const lock = stageDeployer.deployer.lockOf?.(deploy.settings) ?? `${deploy.kind} ${input.plan.service} ${input.stage.name}`;
    return await locks.hold(lock, signal, () => act(stageDeployer));
  };

  /** None whose turn is over. */
  const inTurn = <Input extends DeployStageInput>(change: (to: StageDeployer, work: Work, input: Input) => Promise<Deployed>) =>
    answering((input: Input) =>
      orCancelled('the deploy', async (signal) => {
        const { plan, stage, turn, only } = input;
        if (stage.deploy === undefined) {
          const message = `stage ${stage.name} has no deploy, so there is nothing to be done: something else deploys it`;
          throw new Refusal('DeployRefused', message);
        }
        return await locked(input, stage.deploy, signal, async (stageDeployer) => {
          await turns.enter(plan.service, stage.name, turn);
          const since = Context.current().info.scheduledTimestampMs;
          const work = { turn, since, signal, ...(only !== undefined && { only }), ...acceptedOf(input) };
          return await change(stageDeployer, work, input);
        });
      }),
    );

  return {
    snapshotStage: answering((input: SnapshotInput) => orCancelled('the deploy', (signal) => snapshotOf(input, signal))),
    deployStage: inTurn(({ deployer, target }, work) => deployer.deploy(target, work)),
    rollBackStage: inTurn<RollbackInput>(({ deployer, target }, work, { before }) => deployer.restore(target, before, work)),
    async discardPrevious(input) {
      const { deploy } = input.stage;
      if (deploy === undefined) return;
      const settle = answering(() =>
        orCancelled('the deploy', (signal) => locked(input, deploy, signal, ({ deployer, target }) => deployer.settle(target))),
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

function stageDeployerOf(
  deployers: Dependencies['deployers'],
  { plan, stage, image }: Pick<DeployStageInput, 'plan' | 'stage' | 'image'>,
  { kind, settings }: DeployPlan,
): StageDeployer {
  const deployer = deployers.get(kind);
  if (deployer === undefined)
    throw new Error(`the plan of ${plan.service} deploys by ${kind}, which this worker does not know: start one that does`);
  return { deployer, target: { plan, stage, deploy: settings, image, rollout: currentRun().rollout } };
}

function acceptedOf({ accepted }: Pick<DeployStageInput, 'accepted'>): Pick<DeployStageInput, 'accepted'> {
  return accepted === undefined ? {} : { accepted };
}
