import type { ImageIdentity, RateLimited, ResolveOutcome } from '../../domain/outcomes.ts';
import type { Plan } from '../../domain/plan.ts';
import type { SearchMemory, SearchOutcome, SearchStart } from '../../domain/search.ts';
import type { ResolveRequest } from '../messages.ts';

export interface ResolveActivities {
  /**
   * What the followed tags of a service point to now.
   * @throws ApplicationFailure `CredentialsRefused`; where there is no other tag than the pushed one, `NotInRegistry` if that stays away,
   *   and `NotAnImage` or `DigestMismatch` if it is broken
   */
  resolveTags(input: ResolveRequest): Promise<ResolveOutcome>;
  /** The plan that a push of this image would have now; undefined where the service does not follow it (any more). */
  planNow(input: Pick<Plan, 'service' | 'repository'> & Pick<ImageIdentity, 'tag'>): Promise<Plan | undefined>;
  /** Starts the rollouts of what was found. @returns their ids, also of those that run already */
  startRollouts(input: { request: ResolveRequest; images: readonly ImageIdentity[] }): Promise<string[]>;
}

export interface SearchInput extends Pick<SearchStart, 'registry'> {
  readonly known: SearchMemory;
}

export interface SearchActivities {
  /** Looks at what the services of a registry follow, and has looked up what was pushed without anybody telling. */
  searchRegistry(input: SearchInput): Promise<SearchOutcome | RateLimited>;
}

/** What one look at all owners came to. */
export interface RedeliverySummary {
  readonly kind: 'checked';
  /** How many deliveries were asked for again. */
  readonly redelivered: number;
  /** `OWNER: why`, for those that could not be asked. */
  readonly problems: readonly string[];
}

export interface RedeliverActivities {
  redeliverWebhooks(input: Readonly<Record<string, never>>): Promise<RedeliverySummary | RateLimited>;
}
