import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { Configuration } from '../config/configuration.ts';
import { loadConfiguration } from '../config/load.ts';
import { describeFollowed, plansOfRepository } from '../config/plans.ts';
import { formatProblem } from '../config/problem.ts';
import type { ImagePush } from '../domain/image-push.ts';
import {
  type Digest,
  formatReference,
  type ImageReference,
  InvalidReference,
  parseReference,
  type Tag,
} from '../domain/image-reference.ts';
import type { Plan } from '../domain/plan.ts';
import { follows } from '../domain/tag-policy.ts';
import { resolveStartOptions, rolloutStartOptions } from '../workflows/start-options.ts';
import { answeredInTime, temporalPlace, withClient } from './connection.ts';
import { CommandFailure, UsageFailure } from './failure.ts';
import { shortId } from './rollouts.ts';
import type { Surroundings } from './terminal.ts';

export interface TriggerOptions {
  readonly config: string;
  readonly service?: string;
  readonly json?: boolean;
}

/** What was started for one service. */
interface Started {
  readonly service: string;
  /** The rollout, or the look-up that starts one. */
  readonly workflow: string;
}

const startWithinMs = 5_000;

/** `landfall trigger IMAGE[:TAG][@DIGEST]`: as if the image had just been pushed, and whatever the last verdict was. */
export async function trigger(text: string, options: TriggerOptions, surroundings: Surroundings): Promise<void> {
  const image = parseImage(text);
  const plans = plansToTrigger(configurationOf(options.config, surroundings), image, options.service);
  const push = pushOf(image, surroundings.operator);
  const started = await withClient(temporalPlace(options.config, surroundings), (client) =>
    answeredInTime(client, startWithinMs, () => Promise.all(plans.map((plan) => start(client, plan, push)))),
  );
  if (options.json) return surroundings.print(JSON.stringify(started, null, 2));
  for (const { service, workflow } of started) {
    const what =
      push.digest === undefined
        ? `the registry is asked what ${push.tag} is now (${workflow})`
        : `landfall show ${shortId(workflow)}`;
    surroundings.print(`${service}: ${what}`);
  }
}

type Wanted = ImageReference & { readonly tag: Tag };

function parseImage(text: string): Wanted {
  try {
    return { tag: 'latest' as Tag, ...parseReference(text) };
  } catch (error) {
    if (error instanceof InvalidReference) throw new UsageFailure(error.message);
    throw error;
  }
}

/** The service's own secrets are no business of the operator's shell, so they need not exist here. */
function configurationOf(file: string, { env }: Surroundings): Configuration {
  const loaded = loadConfiguration(file, env, { checkSecrets: false });
  if ('problems' in loaded) throw new CommandFailure(loaded.problems.map(formatProblem).join('\n'));
  return loaded.configuration;
}

function plansToTrigger(configuration: Configuration, image: Wanted, service: string | undefined): Plan[] {
  const ofRepository = plansOfRepository(configuration, image.repository);
  const followed = ofRepository.filter((plan) => follows(plan.tags, image.tag));
  const plans = followed.filter((plan) => service === undefined || plan.service === service);
  if (plans.length > 0) return plans;
  const what = formatReference({ repository: image.repository, tag: image.tag });
  const problem =
    followed.length > 0
      ? `service ${service} does not follow ${what}; ${followed.map((plan) => plan.service).join(', ')} does`
      : `no service follows ${what}`;
  const lines = describeFollowed(configuration).map((line) => `  ${line}`);
  const known = lines.length === 0 ? [`${configuration.file} follows nothing yet`] : [`${configuration.file} follows:`, ...lines];
  throw new CommandFailure([problem, ...known].join('\n'));
}

function pushOf({ repository, tag, digest }: Wanted, actor: string): ImagePush {
  const push = { source: 'operator', deliveryId: `operator-${randomUUID()}`, repository, tag, actor };
  return { ...push, ...(digest === undefined ? {} : { digest }), receivedAt: new Date().toISOString() };
}

async function start(client: Client, plan: Plan, push: ImagePush): Promise<Started> {
  if (push.digest === undefined) {
    const options = resolveStartOptions({ asked: true, plan, push });
    await client.workflow.signalWithStart('resolve', options);
    return { service: plan.service, workflow: options.workflowId };
  }
  const options = rolloutStartOptions({ plan, image: imageOf(push, push.digest), push, asked: true });
  await client.workflow.start('rollout', options);
  return { service: plan.service, workflow: options.workflowId };
}

function imageOf({ repository, tag }: ImagePush, digest: Digest) {
  return { repository, tag, digest };
}
