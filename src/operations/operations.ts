import type { FoundBuilds } from '../contracts/activities/builds.ts';
import type { GlobalHoldState } from '../contracts/messages.ts';
import type { AuditLine } from '../domain/audit.ts';
import type { LaneState } from '../domain/lane/state.ts';
import type { Attribution } from '../domain/person.ts';
import type { Decision, DecisionVerb, RunState } from '../domain/rollout-state.ts';
import type { AuditReading } from './audit.ts';
import type { ImageExplanation } from './explain-image.ts';
import type { Figures } from './figures.ts';
import type { RolloutReader } from './following.ts';
import type {
  AuditQuery,
  BuildRequest,
  DecisionInput,
  ExplanationInput,
  FiguresInput,
  GlobalHoldInput,
  LaneCommand,
  RolloutFilter,
  TriggerInput,
} from './inputs.ts';
import type { LaneAnswer } from './lane.ts';
import type { Overview } from './overview.ts';
import type { RolloutProgress } from './rollout-progress.ts';
import type { RolloutStory } from './rollout-story.ts';
import type { RolloutRow } from './rollouts.ts';
import type { Started } from './trigger.ts';
import type { VerifiedAudit } from './verify-audit.ts';

/**
 * What commands ask of one Landfall, whichever way it is reached: straight at Temporal, or at its API. Both ways are these very functions,
 * here or behind the API; see docs/decisions/0073-the-command-asks-either-way.md. Each throws OperationErrors alone.
 */
export interface Operations extends RolloutReader {
  /** Where it is asked, for people. */
  place(): string;
  /** As whom it is decided, as the record will have it. */
  actor(): Promise<KnownActor>;
  listRollouts(filter: RolloutFilter): Promise<readonly ListedRollout[]>;
  /** Which rollout is meant by the beginning of an id, or the name of a service. */
  findRollout(prefix: string, wanted?: WantedRollout): Promise<string>;
  readStory(rollout: string): Promise<Pick<RolloutStory, 'logs' | 'artifacts'>>;
  /** Whether the configuration says something else of it by now. */
  hasNewerPlan(rollout: string, state: RunState): Promise<boolean>;
  decide(rollout: string, input: DecisionInput): Promise<Pick<Decision, 'digest'>>;
  readGlobalHold(): Promise<Attribution | undefined>;
  commandGlobalHold(input: GlobalHoldInput): Promise<GlobalHoldState>;
  readOverview(): Promise<KnownOverview>;
  showLane(service: string): Promise<{ readonly lane: LaneState; readonly globalHold: GlobalHoldState }>;
  commandLane(input: LaneCommand): Promise<{ readonly command: LaneCommand; readonly answer: LaneAnswer }>;
  trigger(input: TriggerInput): Promise<readonly Started[]>;
  startBuild(input: BuildRequest): Promise<FoundBuilds>;
  readFigures(input: FiguresInput): Promise<Figures>;
  /** @param take is given each entry, the oldest first */
  readAudit(query: AuditQuery, take: (entry: AuditLine) => void): Promise<Readonly<AuditReading>>;
  verifyAudit(): Promise<readonly VerifiedAudit[]>;
  explainImage(input: ExplanationInput): Promise<ImageExplanation>;
}

export interface KnownActor {
  readonly by: string;
  /** Whether that is proven. */
  readonly verified: boolean;
}

export type ListedRollout = RolloutRow & RolloutProgress;

/** Which one is meant where several begin so. */
export interface WantedRollout {
  /** The only one to which this can be said now. Absent: the newest. */
  readonly verb?: DecisionVerb;
  readonly stage?: string | undefined;
}

export interface KnownOverview {
  readonly overview: Overview;
  /** False: the configuration cannot be used, so that services which were never rolled out are not known. */
  readonly isConfigured: boolean;
}

/** Where an API is, and who asks there. */
export interface ApiPlace {
  /** Of the operators' listener. */
  readonly url: URL;
  readonly token?: string;
  /** Whoever runs the command: what is said where nobody needs a token. */
  readonly operator: string;
  /** Whom the command says to be, which the token has to be of. */
  readonly as?: string;
}
