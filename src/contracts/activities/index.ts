import type { BuildActivities, BuildHostActivities } from './builds.ts';
import type { CheckActivities, VerifyActivities } from './checks.ts';
import type { DispatchActivities, HostActivities, MergeActivities, ProposeActivities } from './delivery.ts';
import type { FollowUpActivities, LaneActivities } from './lane.ts';
import type { DecisionActivities, NotifyActivities } from './people.ts';
import type { RedeliverActivities, ResolveActivities, SearchActivities } from './pushes.ts';

/** Everything that workflows ask of the outside world. `src/activities` implements it. */
export interface Activities
  extends VerifyActivities,
    CheckActivities,
    DispatchActivities,
    ProposeActivities,
    MergeActivities,
    HostActivities,
    BuildActivities,
    BuildHostActivities,
    ResolveActivities,
    SearchActivities,
    RedeliverActivities,
    LaneActivities,
    FollowUpActivities,
    DecisionActivities,
    NotifyActivities {}
