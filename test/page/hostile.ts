import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import type { Overview } from '../../src/operations/overview.ts';
import type { RolloutStory } from '../../src/operations/rollout-story.ts';
import type { RolloutRow } from '../../src/operations/rollouts.ts';
import type { PageView } from '../../src/page/view.ts';

/** Breaks out of text, attributes, comments and scripts, wherever it is not escaped. */
export const hostile =
  '\'"></textarea></title></script><script>window.broken=1</script><img src=x onerror="window.broken=1"><a href="javascript:window.broken=1">x</a>';

const at = '2026-01-31T08:00:00Z';
const image = { repository: hostile as Repository, tag: hostile as Tag, digest: hostile as Digest };
const attribution = { by: hostile, reason: hostile, at };

export const view: PageView = {
  base: '',
  theme: 'auto',
  now: Date.parse(at),
  viewer: { name: hostile, actor: { name: hostile }, mayOperate: true, mayApprove: true, isLoggedIn: true },
  here: `/?${encodeURIComponent(hostile)}`,
  linkTo: (id) => `javascript:${id}`,
};

export const hostileRow: RolloutRow = {
  ...{ rollout: hostile, runId: hostile, service: hostile, image: hostile, digest: hostile, status: hostile, stage: hostile },
  ...{ startedAt: at, changedAt: at, reason: hostile, proposal: `javascript:${hostile}` },
};

/** Of every shape that details come in. */
const details = [
  {
    ...{ title: hostile, passed: false, text: hostile, log: hostile, rows: [[hostile, 'critical']] },
    items: [{ label: hostile, text: hostile }],
  },
  { changes: [hostile], commits: [{ commit: hostile, author: hostile, subject: hostile }], more: 3 },
  { readings: 2, failed: 1, slowestMs: 5, failures: [{ at, healthy: false, text: hostile, tookMs: 5 }], log: hostile },
  { before: { at, healthy: true, text: hostile, tookMs: 1 }, now: { log: hostile } },
  { [hostile]: hostile },
  hostile,
];

const proposal = {
  ...{ kind: 'pull-request' as const, number: 1, url: `javascript:${hostile}`, branch: hostile, base: hostile, head: hostile },
  ...{ before: [hostile], after: [hostile], foreign: true as const },
};

const state: RolloutState = {
  ...{ service: hostile, image, status: 'blocked', reason: hostile, startedAt: at, changedAt: at },
  steps: [
    { step: 'verify', status: 'passed', startedAt: at, endedAt: at, reason: hostile, details },
    { step: hostile, stage: hostile, status: 'blocked', startedAt: at, endedAt: at, reason: hostile, failure: hostile, details },
    { step: 'approve', stage: hostile, status: 'waiting', startedAt: at, reason: hostile },
  ],
  proposals: { [hostile]: proposal },
  approvals: { [hostile]: [{ ...attribution, verified: true, way: 'review' }] },
  waivers: [{ ...attribution, step: hostile, stage: hostile }],
};

export const hostileStory: RolloutStory = {
  ...{ row: hostileRow, execution: 'running', state, questions: [], findings: [], logs: [], readings: [], artifacts: [] },
  retries: [{ step: hostile, attempt: 2, lastFailure: hostile }],
};

const underWay = { ...hostileRow, standing: hostile };

export const hostileOverview: Overview = {
  readAt: at,
  globalHold: attribution,
  services: [
    {
      ...{ service: hostile, hold: attribution, problem: hostile },
      stages: [
        {
          ...{ stage: hostile, hold: attribution, pin: { ...attribution, digest: hostile }, stopped: hostile, waiting: 2 },
          turn: { rollout: hostile, changing: true },
          running: { ...image, since: at, rollout: hostile, health: 'unhealthy' },
        },
      ],
    },
  ],
  asking: [
    {
      ...underWay,
      questions: [
        {
          ...{
            asks: 'decision',
            step: hostile,
            stage: hostile,
            since: at,
            decisions: ['retry', 'skip', 'reject'],
            advice: hostile,
          },
          ...{ reason: hostile, failure: hostile, details, proposal: `javascript:${hostile}` },
        },
      ],
    },
  ],
  underWay: [underWay, { ...underWay, runId: 'another' }],
  isCut: true,
};
