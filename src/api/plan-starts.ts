import type { ImagePush } from '../domain/image-push.ts';
import type { Repository, Tag } from '../domain/image-reference.ts';
import type { Plan } from '../domain/plan.ts';
import type { LookUp, RolloutStart } from '../workflows/messages.ts';

/** What one request brought. */
export interface ReceivedPushes {
  readonly pushes: readonly ImagePush[];
  /** The source may name only one of several tags that were pushed together. */
  readonly namesOneOfSeveralTags: boolean;
}

/** The two questions that the configuration answers. */
export interface PlanFinders {
  /** The plans of the services that follow this tag of the repository. */
  readonly plansFor: (repository: Repository, tag: Tag) => readonly Plan[];
  /** The plans of all services of the repository, whichever tags they follow. */
  readonly plansOfRepository: (repository: Repository) => readonly Plan[];
}

export interface Starts {
  readonly rollouts: readonly RolloutStart[];
  readonly lookUps: readonly LookUp[];
}

/** A request with more for one service gets one look-up of what its tags are now: that converges as well, in one start and not in thousands. */
const mostStartsOfService = 8;

/** Which workflows a request is worth. Starts are dear: each once, and none for what nobody follows. */
export function planStarts({ pushes, namesOneOfSeveralTags }: ReceivedPushes, finders: PlanFinders): Starts {
  const { plansFor, plansOfRepository } = finders;
  const rollouts = new Map<string, RolloutStart>();
  const lookUps = new Map<string, LookUp>();
  for (const push of pushes) {
    const { repository, tag, digest } = push;
    for (const plan of plansFor(repository, tag)) {
      if (digest === undefined) lookUps.set(`${plan.service} ${tag}`, { plan, push });
      else rollouts.set(`${plan.service} ${tag} ${digest}`, { plan, image: { repository, tag, digest }, push });
    }
    if (!namesOneOfSeveralTags) continue;
    for (const plan of plansOfRepository(repository)) {
      if (followsOtherExactTag(plan, push)) lookUps.set(`${plan.service} ${tag}`, { plan, push });
    }
  }
  return bounded({ rollouts: [...rollouts.values()], lookUps: [...lookUps.values()] });
}

function followsOtherExactTag({ tags }: Plan, { tag }: ImagePush): boolean {
  return tags.kind === 'exact' && tags.tags.some((followed) => followed !== tag);
}

function bounded({ rollouts, lookUps }: Starts): Starts {
  const counts = new Map<string, number>();
  const last = new Map<string, LookUp>();
  for (const { plan, push } of [...lookUps, ...rollouts]) {
    counts.set(plan.service, (counts.get(plan.service) ?? 0) + 1);
    last.set(plan.service, { plan, push });
  }
  const isFew = ({ plan }: { readonly plan: Plan }) => (counts.get(plan.service) ?? 0) <= mostStartsOfService;
  const instead = [...last.values()].filter((lookUp) => !isFew(lookUp));
  return { rollouts: rollouts.filter(isFew), lookUps: [...lookUps.filter(isFew), ...instead] };
}
