import type { PassThroughStart, ResolveRequest, RolloutStart } from '../../contracts/messages.ts';
import type { ImagePush } from '../../domain/image-push.ts';
import type { Repository, Tag } from '../../domain/image-reference.ts';
import { dispatchOfPush, type Plan } from '../../domain/plan.ts';
import type { SenderIdentity } from '../../http/authentication.ts';
import type { ParsedRequest, PushedImage } from '../../sources/kit/source.ts';

/** A pushed image, with who told of it and when. */
export type ReceivedPush = PushedImage & Pick<ImagePush, 'source' | 'deliveryId' | 'receivedAt' | 'signedId'>;

/** @param about who told of the images, when, and what that sender has proven about their build */
export function pushesOf(
  { images, deliveryId }: ParsedRequest,
  about: Pick<ImagePush, 'source' | 'receivedAt'> & SenderIdentity,
): readonly ReceivedPush[] {
  const { source, receivedAt, ...identity } = about;
  return images.map((image) => ({ source, deliveryId, receivedAt, ...image, ...identity }));
}

/** What one request brought. */
export interface ReceivedPushes {
  readonly pushes: readonly ReceivedPush[];
  /** The source may name only one of several tags that were pushed together. */
  readonly namesOneOfSeveralTags: boolean;
  /** Somebody asks for these very tags, whatever the last verdict was. Default: false. */
  readonly again?: boolean;
}

/** The two questions that the configuration answers. */
export interface PlanFinders {
  /** The plans of the services that follow this tag of the repository. */
  readonly plansFor: (repository: Repository, tag: Tag) => readonly Plan[];
  /** The plans of all services of the repository, whichever tags they follow. */
  readonly plansOfRepository: (repository: Repository) => readonly Plan[];
}

export interface PlannedStarts {
  readonly rollouts: readonly RolloutStart[];
  readonly lookUps: readonly ResolveRequest[];
  readonly forwards: readonly PassThroughStart[];
}

/** A request with more for one service gets one look-up of what its tags are now: the result is the same, in one start instead of thousands. */
const mostStartsOfService = 8;

/** Which workflows a request starts. Starts are dear: each once, and none for an image that no service follows. */
export function planStarts(
  { pushes, namesOneOfSeveralTags, again = false }: ReceivedPushes,
  finders: PlanFinders,
): PlannedStarts {
  const { plansFor, plansOfRepository } = finders;
  const rollouts = new Map<string, RolloutStart>();
  const lookUps = new Map<string, ResolveRequest>();
  const forwards = new Map<string, PassThroughStart & { readonly pushes: ImagePush[] }>();
  for (const received of pushes) {
    const { repository, tag, digest } = received;
    if (tag === undefined) {
      // Which of its tags was pushed is for the registry to say. A look-up has to name one, and asks for all that the policy follows anyway.
      for (const plan of plansOfRepository(repository).filter(isRolledOut)) {
        const any = (plan.tags.kind === 'exact' ? plan.tags.tags[0] : undefined) ?? ('latest' as Tag);
        lookUps.set(`${plan.service} ${received.deliveryId}`, { plan, push: { ...received, tag: any } });
      }
      continue;
    }
    const push = { ...received, tag };
    for (const plan of plansFor(repository, tag)) {
      if (!isRolledOut(plan)) {
        // One request may carry a redelivery and a new push; key by delivery, so that ignoring the first does not drop the second.
        const key = `${plan.service} ${received.deliveryId}`;
        const forward = forwards.get(key) ?? { plan, pushes: [] };
        forward.pushes.push(push);
        forwards.set(key, forward);
      } else if (digest === undefined) lookUps.set(`${plan.service} ${tag}`, { plan, push, ...(again && { manual: again }) });
      else rollouts.set(`${plan.service} ${tag} ${digest}`, { plan, image: { repository, tag, digest }, push });
    }
    if (!namesOneOfSeveralTags) continue;
    for (const plan of plansOfRepository(repository).filter(isRolledOut)) {
      const followsAnother = plan.tags.kind === 'exact' && plan.tags.tags.some((followed) => followed !== tag);
      if (followsAnother) lookUps.set(`${plan.service} ${tag}`, { plan, push });
    }
  }
  const all = { rollouts: [...rollouts.values()], lookUps: [...lookUps.values()] };
  // One look-up would come to what the policy makes of the tags, and not to each of those that somebody asks for.
  return { ...(again ? all : bounded(all)), forwards: [...forwards.values()] };
}

/** Other services have their pushes passed on as they come, whatever tags they name. */
function isRolledOut(plan: Plan): boolean {
  return dispatchOfPush(plan) === undefined;
}

function bounded({ rollouts, lookUps }: Omit<PlannedStarts, 'forwards'>): Omit<PlannedStarts, 'forwards'> {
  const counts = new Map<string, number>();
  const last = new Map<string, ResolveRequest>();
  for (const { plan, push } of [...lookUps, ...rollouts]) {
    counts.set(plan.service, (counts.get(plan.service) ?? 0) + 1);
    last.set(plan.service, { plan, push });
  }
  const isFew = ({ plan }: { readonly plan: Plan }) => (counts.get(plan.service) ?? 0) <= mostStartsOfService;
  const instead = [...last.values()].filter((lookUp) => !isFew(lookUp));
  return { rollouts: rollouts.filter(isFew), lookUps: [...lookUps.filter(isFew), ...instead] };
}
