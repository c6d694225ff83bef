import type { Client } from '@temporalio/client';
import type { Configuration } from '../config/configuration.ts';
import type { Kinds } from '../config/kinds.ts';
import type { Environment } from '../domain/environment.ts';
import { readAudit } from './audit.ts';
import { planBuild, startBuild } from './builds.ts';
import { openClient, readConfiguration, temporalTarget } from './connection.ts';
import { decide } from './decide.ts';
import { InvalidConfiguration, unlessUnanswered } from './errors.ts';
import { type AskedRegistry, explainImage } from './explain-image.ts';
import { readFigures } from './figures.ts';
import { findRollout } from './find-rollout.ts';
import { pollMs } from './follow.ts';
import type { Actor } from './inputs.ts';
import { commandGlobalHold, commandLane, readGlobalHold, showLane } from './lane.ts';
import { hasNewerPlan } from './newer-plan.ts';
import type { Operations } from './operations.ts';
import { configuredServices, readOverview } from './overview.ts';
import { withProgress } from './rollout-progress.ts';
import { readStory } from './rollout-story.ts';
import { listRollouts, readRollout } from './rollouts.ts';
import { planTriggers, trigger } from './trigger.ts';
import { verifyAudit } from './verify-audit.ts';

/** What it takes to reach Temporal, and to read the configuration where that is needed. */
export interface TemporalWay {
  /** The configuration file, which may be missing. */
  readonly file: string;
  readonly env: Environment;
  /** Who decides; asked for once something is decided. */
  readonly actor: () => Promise<Actor>;
  readonly loadKinds: () => Promise<Kinds>;
  readonly withRegistry: <Result>(
    configuration: Configuration,
    env: Environment,
    work: (registry: AskedRegistry) => Promise<Result>,
  ) => Promise<Result>;
}

/** Lends the operations straight against Temporal, which is reached once the first of them needs it. */
export async function withTemporal<Result>(way: TemporalWay, work: (operations: Operations) => Promise<Result>): Promise<Result> {
  let opened: ReturnType<typeof openClient> | undefined;
  const client = async () => {
    opened ??= openClient(way.file, way.env);
    return (await opened).client;
  };
  try {
    return await work(temporalOperations(way, client));
  } finally {
    // What could not be opened has said so already.
    await opened?.then(({ close }) => close()).catch(() => undefined);
  }
}

function temporalOperations(way: TemporalWay, client: () => Promise<Client>): Operations {
  const { file, env, actor } = way;
  const configuration = () => readConfiguration(file, way);
  return {
    place() {
      const { address, namespace, from } = temporalTarget(file, env);
      return `Temporal at ${address}, namespace ${namespace} (${from})`;
    },
    async actor() {
      const { name, tokenHash } = await actor();
      return { by: name, verified: tokenHash !== undefined };
    },
    async listRollouts(filter) {
      const asked = await client();
      return await withProgress(asked, await listRollouts(asked, filter));
    },
    findRollout: async (prefix, wanted) => findRollout(await client(), prefix, wanted),
    readRollout: async (rollout) => readRollout(await client(), rollout),
    readEveryMs: pollMs,
    readStory: async (rollout) => readStory(await client(), rollout),
    hasNewerPlan: (_, state) => hasNewerPlan(configuration, state),
    decide: async (rollout, input) => decide(await client(), rollout, input, await actor()),
    readGlobalHold: async () => readGlobalHold(await client()),
    commandGlobalHold: async (input) => commandGlobalHold(await client(), input, await actor()),
    async readOverview() {
      const configured = await orUndefined(async () => configuredServices(await configuration()));
      return { overview: await readOverview(await client(), configured), isConfigured: configured !== undefined };
    },
    showLane: async (service) => showLane(await client(), service),
    commandLane: async (input) => commandLane({ client: await client(), configuration }, input, await actor()),
    async trigger(input) {
      // A mistake in the input is told also where no Temporal answers.
      const triggers = planTriggers(await configuration(), input);
      const by = await actor();
      return await trigger(await client(), triggers, by);
    },
    async startBuild(input) {
      const search = planBuild(await configuration(), input);
      const by = await actor();
      return await startBuild(await client(), search, by);
    },
    readFigures: async (input) => readFigures(await client(), input),
    readAudit: async (query, take) => readAudit(await configuration(), query, take),
    verifyAudit: async () => verifyAudit(await configuration(), env),
    async explainImage(input) {
      const read = await configuration();
      return await way.withRegistry(read, env, async (registry) => {
        const explain = (asked?: Client) => explainImage({ client: asked, registry, configuration: read }, input);
        return (await client().then(explain).catch(unlessUnanswered)) ?? (await explain());
      });
    },
  };
}

/** A file that cannot be used says nothing, and keeps nobody from seeing what runs. */
async function orUndefined<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof InvalidConfiguration) return undefined;
    throw error;
  }
}
