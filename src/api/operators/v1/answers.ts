import { z } from 'zod';
import { operatorRoles } from '../../../domain/person.ts';
import { decisionVerbs, ends, rolloutStatuses, runStatuses } from '../../../domain/rollout-state.ts';
import type {
  Figures,
  ImageExplanation,
  ListedRollout,
  Overview,
  RolloutRow,
  RolloutStory,
  ServiceOverview,
} from '../../../operations/index.ts';

/** What the API answers. What comes from histories, which workers of any version wrote, may have more members. */

export const time = z.string().describe('ISO 8601, UTC.');

export const attribution = z.object({ by: z.string(), reason: z.string().exactOptional(), at: time });

export const rolloutRow = z.object({
  rollout: z.string().describe('The id; any beginning that only one has will do where one is asked for.'),
  runId: z.string(),
  service: z.string(),
  image: z.string().describe('REPOSITORY:TAG'),
  digest: z.string(),
  status: z.string().describe(`${rolloutStatuses.join(', ')}; where Temporal ended it from outside, how.`),
  stage: z.string().exactOptional(),
  startedAt: time,
  changedAt: time,
  reason: z.string().exactOptional(),
  proposal: z.string().exactOptional(),
}) satisfies z.ZodType<RolloutRow>;

const place = { step: z.string(), stage: z.string().exactOptional() };

const details = z.unknown().describe('What a person should see beside the reason: findings, log lines, readings.');

const question = z.object({
  asks: z.enum(['decision', 'approval', 'merge']),
  ...place,
  reason: z.string().exactOptional(),
  failure: z.string().exactOptional(),
  details: details.exactOptional(),
  since: time,
  decisions: z.array(z.enum(['approve', 'retry', 'skip', 'reject'])).readonly(),
  advice: z.string().describe('The commands that answer it.'),
  proposal: z.string().exactOptional(),
  head: z.string().exactOptional().describe("The proposal's commit, which an approval is for."),
});

const underWay = rolloutRow.extend({ standing: z.string().exactOptional() });

const image = { repository: z.string(), tag: z.string(), digest: z.string() };

const stage = z.object({
  stage: z.string(),
  running: z
    .object({
      ...image,
      since: time,
      rollout: z.string(),
      health: z.enum(['healthy', 'watched', 'unhealthy', 'unknown']),
    })
    .exactOptional(),
  hold: attribution.exactOptional(),
  pin: attribution.extend({ digest: z.string() }).exactOptional(),
  stopped: z.string().exactOptional(),
  turn: z.object({ rollout: z.string(), changing: z.boolean() }).exactOptional(),
  waiting: z.int(),
});

export const serviceOverview = z.object({
  service: z.string(),
  hold: attribution.exactOptional(),
  stages: z.array(stage).readonly(),
  problem: z.string().exactOptional(),
});

export const overview = z.object({
  readAt: time,
  globalHold: attribution.exactOptional(),
  services: z.array(serviceOverview).readonly(),
  asking: z.array(underWay.extend({ questions: z.array(question).readonly() })).readonly(),
  underWay: z.array(underWay).readonly(),
  isCut: z.boolean(),
});

/** What has not ended says more with `progress=true`. */
export const listedRollout = rolloutRow.extend({
  step: z.string().exactOptional().describe('With progress=true: at which step it is.'),
  since: time.exactOptional(),
  unanswered: z.literal(true).exactOptional().describe('No worker has answered for it.'),
}) satisfies z.ZodType<ListedRollout>;

export const rolloutList = z.object({
  rows: z.array(listedRollout).readonly(),
  next: z.string().exactOptional().describe('The cursor of the next page. Absent: this is the last one.'),
  total: z.int().exactOptional().describe('With count=true: how many there are, whatever text was asked for.'),
});

export const step = z.looseObject({
  ...place,
  status: z.enum(['pending', 'running', 'waiting', 'passed', 'blocked', 'skipped', 'stopped']),
  startedAt: time.exactOptional(),
  endedAt: time.exactOptional(),
  reason: z.string().exactOptional(),
  failure: z.string().exactOptional(),
  details: details.exactOptional(),
});

export const waiver = z.looseObject({
  ...attribution.required().shape,
  ...place,
  of: z.literal('other-changes').exactOptional(),
});

export const takenDecision = z.looseObject({
  ...attribution.shape,
  verb: z.enum(decisionVerbs),
  step: z.string().exactOptional(),
  stage: z.string().exactOptional(),
  way: z.literal('review').exactOptional(),
});

const approval = z.looseObject({
  ...attribution.shape,
  verified: z.boolean(),
  way: z.enum(['decision', 'review']),
  login: z.literal('oidc').exactOptional(),
  operator: z.string().exactOptional(),
  head: z.string().exactOptional(),
});

const proposal = z.looseObject({ url: z.string(), branch: z.string(), base: z.string(), head: z.string() });

const rolloutState = z.looseObject({
  service: z.string(),
  image: z.looseObject({ ...image, digest: z.string().exactOptional().describe('Of a build: once it is pushed.') }),
  status: z.enum(runStatuses),
  reason: z.string().exactOptional(),
  steps: z.array(step).readonly(),
  proposals: z.record(z.string(), proposal),
  approvals: z.record(z.string(), z.array(approval).readonly()).exactOptional(),
  waivers: z.array(waiver).readonly().exactOptional(),
  decisions: z.array(takenDecision).readonly().exactOptional(),
  startedAt: time,
  changedAt: time,
  endedAt: time.exactOptional().describe(`Once it is one of ${ends.join(', ')}.`),
});

const evidence = z.looseObject({
  title: z.string(),
  passed: z.boolean(),
  text: z.string(),
  short: z.string().exactOptional(),
  items: z
    .array(z.looseObject({ label: z.string().exactOptional(), text: z.string() }))
    .readonly()
    .exactOptional(),
  rows: z.array(z.array(z.string()).readonly()).readonly().exactOptional(),
  log: z.string().exactOptional(),
  artifacts: z.array(z.string()).readonly().exactOptional(),
});

export const findings = z.array(z.object({ ...place, evidence: z.array(evidence).readonly() })).readonly();
export const logs = z.array(z.object({ ...place, log: z.string() })).readonly();

const point = { at: time, healthy: z.boolean(), tookMs: z.number() };
export const readings = z
  .array(
    z.object({
      ...place,
      count: z.int(),
      failed: z.int(),
      slowestMs: z.number(),
      recent: z.array(z.looseObject(point)).readonly(),
      failures: z.array(z.looseObject({ ...point, text: z.string() })).readonly(),
    }),
  )
  .readonly();

export const artifactPaths = z.array(z.string().describe('sha256/HEX/NAME')).readonly();

export const story = z.object({
  row: rolloutRow,
  execution: z.string(),
  state: rolloutState,
  retries: z.array(z.object({ step: z.string(), attempt: z.int(), lastFailure: z.string() })).readonly(),
  questions: z.array(question).readonly(),
  standing: z.string().exactOptional(),
  findings,
  logs,
  readings,
  artifacts: artifactPaths,
});

export const decided = story.extend({ digest: z.string().exactOptional().describe('Of an approval: what it is bound to.') });

export const meant = z.object({ rollout: z.string().describe('Its whole id.') });
export const newerPlan = z.object({ isNewer: z.boolean() });

export const lane = z
  .looseObject({ stages: z.record(z.string(), z.looseObject({})), quarantine: z.record(z.string(), z.looseObject({})) })
  .describe("The lane's memory: what each stage ran before, what was delivered, verdicts, quarantine.");

export const laneAnswer = z.object({
  service: z.string(),
  globalHold: attribution.exactOptional(),
  overview: serviceOverview,
  lane,
});

export const commanded = z.object({
  workflow: z.string().exactOptional().describe('What does it: a rollback or a promotion.'),
  at: z.string().exactOptional().describe('Of a promotion: when it was said. An earlier run of the same id began before.'),
  from: z.string().exactOptional(),
  to: z.string().exactOptional(),
  behind: z.string().exactOptional().describe('The rollout that is waited for.'),
  unpins: z.literal(true).exactOptional(),
  overview: serviceOverview.exactOptional().describe('How it is then, where nothing has to be waited for.'),
  lane: lane.exactOptional(),
  digest: z.string().exactOptional().describe('The whole one, of a command about a digest.'),
});

export const globalHold = z.object({ hold: attribution.exactOptional() });

export const startedRollouts = z
  .array(
    z.object({
      service: z.string(),
      tag: z.string(),
      workflow: z.string(),
      rollouts: z.array(z.object({ rollout: z.string(), wasRunning: z.boolean() })).readonly(),
      note: z.string().exactOptional().describe('Why there is no rollout yet.'),
    }),
  )
  .readonly();

export const startedBuilds = z.object({
  kind: z.literal('found'),
  commit: z.string().describe('Full.'),
  builds: z
    .array(
      z.object({
        build: z.string().describe('Its id, as rollouts have one.'),
        run: z.string().exactOptional().describe('Which time of building this commit it is.'),
        wasRunning: z.boolean(),
      }),
    )
    .readonly(),
});

const auditEntry = z
  .looseObject({ timestamp: z.string(), event_type: z.string(), source: z.string(), outcome: z.string() })
  .describe('As a line of the audit log has it.');

export const auditEntries = z.object({
  entries: z.array(auditEntry).readonly(),
  read: z.int().describe('How many entries there were to choose from.'),
  skipped: z.int().describe('How many lines were none.'),
});

export const whoAsks = z.object({
  name: z.string(),
  way: z.enum(['token', 'oidc', 'unverified']),
  roles: z.array(z.enum(operatorRoles)).readonly(),
});

const percentiles = z.object({ count: z.int(), p50Seconds: z.number(), p95Seconds: z.number() });

export const figures = z.object({
  readAt: time,
  days: z.int(),
  rollouts: z.int().describe('How many ended.'),
  isCut: z.boolean(),
  ends: z.record(z.string(), z.int()),
  toProposed: percentiles.exactOptional(),
  toHealthy: percentiles.exactOptional(),
  successShare: z.number().exactOptional(),
  personShare: z.number().exactOptional(),
  proposalsPerWeek: z.number(),
  byDay: z.array(z.object({ day: z.string(), well: z.int(), badly: z.int(), otherwise: z.int() })).readonly(),
});

const explained = z.object({
  service: z.string(),
  policy: z.string(),
  verdict: z.enum(['starts', 'ignored', 'refused', 'unknown']),
  text: z.string(),
  candidates: z.array(z.object({ tag: z.string(), text: z.string() })).readonly(),
  more: z.int(),
  stages: z
    .array(z.object({ stage: z.string(), waits: z.string().exactOptional(), behind: z.string().exactOptional() }))
    .readonly(),
});

export const explanation = z.object({
  repository: z.string(),
  tag: z.string(),
  digest: z.string().exactOptional(),
  registry: z.string().exactOptional().describe('What the registry says where it has no digest.'),
  services: z.array(explained).readonly(),
  followed: z.array(z.string()).readonly(),
});

/** They are what the operations give: this does not compile where one of them has a member that the API does not know, or another type. */
type IsAnswer<Answer, Given> = Given extends Answer ? true : never;
export const areComplete: readonly [
  IsAnswer<z.output<typeof overview>, Overview>,
  IsAnswer<z.output<typeof serviceOverview>, ServiceOverview>,
  IsAnswer<z.output<typeof figures>, Figures>,
  IsAnswer<z.output<typeof explanation>, ImageExplanation>,
  IsAnswer<Pick<z.output<typeof story>, 'row' | 'questions' | 'retries'>, Pick<RolloutStory, 'row' | 'questions' | 'retries'>>,
] = [true, true, true, true, true];
