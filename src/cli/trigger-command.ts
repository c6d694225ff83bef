import { randomUUID } from 'node:crypto';
import type { Configuration } from '../config/configuration.ts';
import { describeFollowed, describeTags, planOf, plansOfRepository } from '../config/plans.ts';
import type { ImagePush } from '../domain/image-push.ts';
import {
  formatReference,
  type ImageReference,
  InvalidReference,
  parseReference,
  type Repository,
  type Tag,
} from '../domain/image-reference.ts';
import type { Plan } from '../domain/plan.ts';
import { follows } from '../domain/tag-policy.ts';
import { readConfiguration } from './configuration.ts';
import { temporalPlace, withClient } from './connection.ts';
import { CommandFailure, UsageFailure } from './failure.ts';
import { shortId } from './rollouts.ts';
import { type Started, startRollouts } from './start-rollouts.ts';
import { plain, type Surroundings } from './terminal.ts';

export interface TriggerOptions {
  readonly config: string;
  readonly service?: string;
  readonly json?: boolean;
}

/** `landfall trigger IMAGE[:TAG][@DIGEST]`: as if the image had just been pushed, and whatever the last verdict was. */
export async function trigger(text: string, options: TriggerOptions, surroundings: Surroundings): Promise<void> {
  const configuration = readConfiguration(options.config, surroundings);
  const wanted = readWanted(text, options.service, configuration);
  const triggers = triggersOf(configuration, wanted);
  const started = await withClient(temporalPlace(options.config, surroundings), (client) =>
    Promise.all(triggers.map(({ plan, tag }) => startRollouts(client, plan, pushOf(wanted.image, tag, surroundings.operator)))),
  );
  if (options.json) return surroundings.print(JSON.stringify(started, null, 2));
  const lines = started.flatMap((entry, index) => describeStarted(entry, triggers[index]?.tag ?? defaultTag));
  for (const line of lines) surroundings.print(line);
}

interface Wanted {
  readonly image: ImageReference;
  /** Only for this one. */
  readonly service: string | undefined;
}

/** An image, or in its place the name of a service that follows one repository. Where it is both, it is the image. */
function readWanted(text: string, service: string | undefined, configuration: Configuration): Wanted {
  const [, name = '', rest = ''] = /^([^/:@]+)((?:[:@][^/]*)?)$/.exec(text) ?? [];
  const named = planOf(configuration, name);
  const isImage = plansOfRepository(configuration, `docker.io/library/${name}` as Repository).length > 0;
  if (named === undefined || isImage) return { image: parseImage(text), service };
  return { image: parseImage(`${named.repository}${rest}`), service: service ?? name };
}

function parseImage(text: string): ImageReference {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof InvalidReference) throw new UsageFailure(error.message);
    throw error;
  }
}

const defaultTag = 'latest' as Tag;

interface Trigger {
  readonly plan: Plan;
  readonly tag: Tag;
}

function triggersOf(configuration: Configuration, { image, service }: Wanted): Trigger[] {
  const { repository, tag = defaultTag } = image;
  const ofRepository = plansOfRepository(configuration, repository);
  const candidates = ofRepository.filter((plan) => service === undefined || plan.service === service);
  const triggers = candidates.filter((plan) => follows(plan.tags, tag)).map((plan) => ({ plan, tag }));
  if (triggers.length > 0) return triggers;
  const only = image.tag === undefined ? candidates.flatMap(withOnlyTag) : [];
  if (only.length > 0) return only;
  if (image.tag === undefined && candidates.length > 0) {
    throw new UsageFailure(candidates.map((plan) => `${plan.service} follows ${describeTags(plan.tags)}: name a tag`).join('\n'));
  }
  const what = formatReference({ repository, tag });
  const others = ofRepository.filter((plan) => follows(plan.tags, tag)).map((plan) => plan.service);
  const problem =
    others.length > 0 ? `service ${service} does not follow ${what}; ${others.join(', ')} does` : `no service follows ${what}`;
  const lines = describeFollowed(configuration).map((line) => `  ${line}`);
  const known = lines.length === 0 ? [`${configuration.file} follows nothing yet`] : [`${configuration.file} follows:`, ...lines];
  throw new CommandFailure([problem, ...known].join('\n'));
}

/** Whoever follows one tag alone can mean no other. */
function withOnlyTag(plan: Plan): Trigger[] {
  const [tag, ...others] = plan.tags.kind === 'exact' ? plan.tags.tags : [];
  return tag === undefined || others.length > 0 ? [] : [{ plan, tag }];
}

function pushOf({ repository, digest }: ImageReference, tag: Tag, actor: string): ImagePush {
  const push = { source: 'operator', deliveryId: `operator-${randomUUID()}`, repository, tag, actor };
  return { ...push, ...(digest === undefined ? {} : { digest }), receivedAt: new Date().toISOString() };
}

function describeStarted({ service, workflow, rollouts, note }: Started, tag: Tag): string[] {
  if (rollouts.length > 0) {
    return rollouts.map(({ rollout, wasRunning }) => {
      const what = wasRunning ? 'was running already, and goes on: ' : '';
      return `${service}: ${what}landfall show ${shortId(rollout)}`;
    });
  }
  if (note !== undefined) return [`${service}: nothing started yet: ${plain(note)} (${workflow})`];
  return [`${service}: the registry is being asked what ${tag} is now (${workflow}): landfall list --service ${service}`];
}
