import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { z } from 'zod';
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
import type { Actor } from './actor.ts';
import { InvalidInput, NotFound } from './errors.ts';
import { type Started, startRollouts } from './start-rollouts.ts';

/** `image`: IMAGE[:TAG][@DIGEST], or the name of a service in place of its image. `service`: only for this one. */
export const triggerInput = z.object({ image: z.string(), service: z.string().optional() });
export type TriggerInput = z.output<typeof triggerInput>;

/** What is to be rolled out. */
export interface Trigger {
  readonly plan: Plan;
  readonly image: ImageReference;
  readonly tag: Tag;
}

/**
 * The services that an operator means.
 * @throws InvalidInput where it is no image, or a tag has to be named; NotFound where no service follows it
 */
export function planTriggers(configuration: Configuration, { image, service }: TriggerInput): Trigger[] {
  const wanted = readWanted(image, service, configuration);
  return followersOf(configuration, wanted).map((follower) => ({ ...follower, image: wanted.image }));
}

/**
 * As if the image had just been pushed, and whatever the last verdict was.
 * @returns one for each trigger, in their order
 * @throws Refused where the digest is in quarantine; Unreachable
 */
export async function trigger(client: Client, triggers: readonly Trigger[], actor: Actor): Promise<Started[]> {
  return await Promise.all(triggers.map(({ plan, image, tag }) => startRollouts(client, plan, pushOf(image, tag, actor.name))));
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
    if (error instanceof InvalidReference) throw new InvalidInput(error.message);
    throw error;
  }
}

const defaultTag = 'latest' as Tag;

type Follower = Pick<Trigger, 'plan' | 'tag'>;

function followersOf(configuration: Configuration, { image, service }: Wanted): Follower[] {
  const { repository, tag = defaultTag } = image;
  const ofRepository = plansOfRepository(configuration, repository);
  const candidates = ofRepository.filter((plan) => service === undefined || plan.service === service);
  const followers = candidates.filter((plan) => follows(plan.tags, tag)).map((plan) => ({ plan, tag }));
  if (followers.length > 0) return followers;
  const only = image.tag === undefined ? candidates.flatMap(withOnlyTag) : [];
  if (only.length > 0) return only;
  if (image.tag === undefined && candidates.length > 0) {
    throw new InvalidInput(candidates.map((plan) => `${plan.service} follows ${describeTags(plan.tags)}: name a tag`).join('\n'));
  }
  const what = formatReference({ repository, tag });
  const others = ofRepository.filter((plan) => follows(plan.tags, tag)).map((plan) => plan.service);
  const problem =
    others.length > 0 ? `service ${service} does not follow ${what}; ${others.join(', ')} does` : `no service follows ${what}`;
  const lines = describeFollowed(configuration).map((line) => `  ${line}`);
  const known = lines.length === 0 ? [`${configuration.file} follows nothing yet`] : [`${configuration.file} follows:`, ...lines];
  throw new NotFound([problem, ...known].join('\n'));
}

/** Whoever follows one tag alone can mean no other. */
function withOnlyTag(plan: Plan): Follower[] {
  const [tag, ...others] = plan.tags.kind === 'exact' ? plan.tags.tags : [];
  return tag === undefined || others.length > 0 ? [] : [{ plan, tag }];
}

function pushOf({ repository, digest }: ImageReference, tag: Tag, actor: string): ImagePush {
  const push = { source: 'operator', deliveryId: `operator-${randomUUID()}`, repository, tag, actor };
  return { ...push, ...(digest === undefined ? {} : { digest }), receivedAt: new Date().toISOString() };
}
