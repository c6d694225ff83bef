import { z } from 'zod';
import { decisionVerbs, runStatuses } from '../domain/rollout-state.ts';

/** What `--json` prints, by command: `landfall schema COMMAND` prints it for programs. Members may be added; none changes its meaning. */

const time = z.iso.datetime({ offset: true });
const text = z.string();
const attribution = z.looseObject({ by: text, at: time, reason: text.optional() });
const image = z.looseObject({ repository: text, tag: text, digest: text });

const row = z.looseObject({
  rollout: text,
  runId: text,
  service: text,
  image: text,
  digest: text,
  status: text.describe(`One of ${runStatuses.join(', ')}; or how Temporal ended it: terminated, failed, timed out, cancelled.`),
  stage: text.optional(),
  startedAt: time,
  changedAt: time,
  reason: text.optional(),
  proposal: text.optional(),
});

const step = z.looseObject({
  step: text,
  stage: text.optional(),
  status: z.enum(['pending', 'running', 'waiting', 'passed', 'blocked', 'skipped', 'stopped']),
  startedAt: time.optional(),
  endedAt: time.optional(),
  reason: text.optional(),
  failure: text.optional(),
  details: z.unknown().optional(),
});

const state = z.looseObject({
  service: text.describe('Or the name of the build.'),
  image: image.extend({ digest: text.optional().describe('Of a build: once it is pushed.') }),
  status: z.enum(runStatuses),
  reason: text.optional(),
  steps: z.array(step),
  proposals: z.record(text, z.looseObject({ url: text })),
  startedAt: time,
  changedAt: time,
  endedAt: time.optional(),
});

const stage = z.looseObject({
  stage: text,
  running: image
    .extend({ since: time, rollout: text, health: z.enum(['healthy', 'watched', 'unhealthy', 'unknown']) })
    .optional(),
  hold: attribution.optional(),
  pin: attribution.extend({ digest: text }).optional(),
  stopped: text.optional(),
  turn: z.looseObject({ rollout: text, changing: z.boolean() }).optional(),
  waiting: z.int(),
});

const question = z.looseObject({
  asks: z.enum(['decision', 'approval', 'merge']),
  step: text,
  stage: text.optional(),
  since: time,
  decisions: z.array(z.enum(decisionVerbs)),
  advice: text,
});

const overview = z.looseObject({
  readAt: time,
  globalHold: attribution.optional(),
  services: z.array(
    z.looseObject({ service: text, hold: attribution.optional(), stages: z.array(stage), problem: text.optional() }),
  ),
  asking: z.array(row.extend({ standing: text.optional(), questions: z.array(question).min(1) })),
  underWay: z.array(row.extend({ standing: text.optional() })),
  isCut: z.boolean(),
});

const laneStage = z.looseObject({
  turn: z.int(),
  waiters: z.array(text),
  running: image.optional(),
  hold: attribution.optional(),
});
const lane = z.looseObject({
  service: text,
  globalHold: z.looseObject({ hold: attribution.optional() }),
  hold: attribution.optional(),
  stages: z.record(text, laneStage),
  quarantine: z.record(text, z.looseObject({ reason: text, by: text.optional(), at: time })),
});

const percentiles = z.looseObject({ count: z.int(), p50Seconds: z.number(), p95Seconds: z.number() });
const figures = z.looseObject({
  readAt: time,
  days: z.int(),
  rollouts: z.int(),
  isCut: z.boolean(),
  ends: z.record(text, z.int()),
  toProposed: percentiles.optional(),
  toHealthy: percentiles.optional(),
  successShare: z.number().optional(),
  personShare: z.number().optional(),
  proposalsPerWeek: z.number(),
  targets: z.looseObject({ proposedSeconds: z.number(), successShare: z.number(), personShare: z.number() }),
});

const explanation = z.looseObject({
  repository: text,
  tag: text,
  digest: text.optional(),
  registry: text.optional(),
  services: z.array(
    z.looseObject({
      service: text,
      policy: text,
      verdict: z.enum(['starts', 'ignored', 'refused', 'unknown']),
      text,
      candidates: z.array(z.looseObject({ tag: text, text })),
      more: z.int(),
      stages: z.array(z.looseObject({ stage: text, waits: text.optional(), behind: text.optional() })),
    }),
  ),
  followed: z.array(text),
});

const started = z.looseObject({
  service: text,
  workflow: text,
  rollouts: z.array(z.looseObject({ rollout: text, wasRunning: z.boolean() })),
  note: text.optional(),
  states: z.array(state).optional().describe('With --wait: of each rollout, in the same order.'),
});

const builds = z.union([
  z.looseObject({
    commit: text,
    builds: z.array(z.looseObject({ build: text, run: text.optional(), wasRunning: z.boolean() })),
  }),
  z
    .array(state.extend({ outputs: z.looseObject({ built: z.boolean(), pushed: z.boolean(), digest: text.optional() }) }))
    .describe('With --wait and --local: each at its end.'),
]);

const decided = state.extend({ rollout: text });
const laneAnswer = z.looseObject({ service: text });

export const jsonSchemas: Readonly<Record<string, z.ZodType>> = {
  status: overview,
  list: z.array(row.extend({ step: text.optional(), since: time.optional(), unanswered: z.literal(true).optional() })),
  show: state.extend({
    rollout: text,
    execution: text.describe('running, completed, or how Temporal ended it from outside.'),
    retries: z.array(z.looseObject({ step: text, attempt: z.int(), lastFailure: text })),
  }),
  logs: z.looseObject({
    rollout: text,
    logs: z.array(z.looseObject({ step: text, stage: text.optional(), log: text })),
    artifacts: z.array(text).describe('Paths in the artifacts folder.'),
  }),
  ...Object.fromEntries(decisionVerbs.map((verb) => [verb, decided])),
  lane,
  hold: z.looseObject({}),
  release: z.looseObject({}),
  ...Object.fromEntries(['pin', 'promote', 'quarantine', 'unquarantine', 'rollback'].map((verb) => [verb, laneAnswer])),
  trigger: z.array(started),
  build: builds,
  why: explanation,
  stats: figures,
  audit: z
    .looseObject({ timestamp: text, event_type: text, source: text, outcome: text })
    .describe('One such object in each line; with --verify, one for each log: file, end, torn, problem.'),
  doctor: z.array(z.looseObject({ what: text, verdict: z.enum(['fine', 'warning', 'problem']), text })),
  token: z.looseObject({ token: text, hash: text }),
  version: z.looseObject({ landfall: text, node: text }),
};
