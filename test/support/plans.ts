import { createHash } from 'node:crypto';
import { checks } from '../../src/checks/index.ts';
import { deploys } from '../../src/deploys/index.ts';
import type { ImagePush } from '../../src/domain/image-push.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import type { ImageIdentity, VerifiedImage } from '../../src/domain/outcomes.ts';
import type { ChangePlan, CheckPlan, DeployPlan, Plan, StagePlan } from '../../src/domain/plan.ts';

/** A plan as the configuration makes it, with what a test needs otherwise. */
export function planOf(overrides: Partial<Plan> = {}): Plan {
  return {
    service: 'web',
    repository: 'registry.example.test/team/web' as Repository,
    tags: { kind: 'exact', tags: ['latest' as Tag] },
    platforms: [],
    checks: [
      checkOf('scan', { failOn: 'critical', ignoreUnfixed: true, ignore: [] }),
      checkOf('smoke', {
        timeoutMs: 60_000,
        stayUpMs: 1_000,
        memoryBytes: 256 * 1024 * 1024,
        cpus: 1,
        pids: 100,
        capabilities: [],
        env: {},
      }),
    ],
    stages: [stageOf('production')],
    decideWithinMs: 24 * 60 * 60 * 1000,
    ...overrides,
  };
}

/** A check of the product. */
export function checkOf(kind: string, settings: object): CheckPlan {
  const known = checks.find((check) => check.kind === kind);
  if (known === undefined) throw new Error(`there is no check ${kind}`);
  const { title, needsDocker, last } = known;
  return { kind, title, after: last ? ['scan', 'smoke'] : [], timeoutMs: 60_000, needsDocker, settings };
}

/** A deploy by a kind of the product, on the default host. */
export function deployOf(kind: string, settings: object, more: Partial<DeployPlan> = {}): DeployPlan {
  const known = deploys.find((deploy) => deploy.kind === kind);
  if (known === undefined) throw new Error(`there is no deploy ${kind}`);
  const { asks, foresees = false, proves = false } = known;
  return { kind, ...(asks === undefined && { host: 'default' }), timeoutMs: 60_000, foresees, proves, settings, ...more };
}

/** What a plan says of one check. */
export function settingsIn<Settings extends object = Record<string, unknown>>(
  plan: Pick<Plan, 'checks'> | undefined,
  check: string,
): Settings | undefined {
  return plan?.checks.find(({ kind }) => kind === check)?.settings as Settings | undefined;
}

/** A stage, and how its change is merged. */
export type StageOverrides = Partial<StagePlan> & Partial<Pick<ChangePlan, 'merge' | 'mergeMethod'>>;

export function stageOf(name: string, { merge = 'off', mergeMethod, ...overrides }: StageOverrides = {}): StagePlan {
  const merging = { merge, ...(mergeMethod !== undefined && { mergeMethod }) };
  const { change, ...rest } = overrides;
  return {
    name,
    rollback: 'off',
    change: {
      repository: 'team/deployment',
      base: 'main',
      file: 'docker-compose.yml',
      target: { kind: 'compose', services: ['web'] },
      pin: 'tag@digest',
      value: 'reference',
      labels: [],
      reviewers: [],
      assignees: [],
      ...change,
      ...merging,
    },
    ...rest,
  };
}

/** For `stageOf`: merged by Landfall, deployed with Compose, watched, rolled back by itself. */
export const delivered: StageOverrides = {
  merge: 'auto',
  deploy: deployOf('compose', {
    directory: '/srv/web',
    files: [],
    services: ['web'],
    before: [],
    after: [],
    timeoutMs: 60_000,
    others: 'ask',
  }),
  watch: {
    probes: [{ kind: 'tcp', host: 'web', port: 80, timeoutMs: 1_000 }],
    forMs: 1_000,
    intervalMs: 500,
    failures: 0,
    startPeriodMs: 1_000,
    withinMs: 10_000,
  },
  rollback: 'auto',
};

/** A digest that differs for every word. */
export function digestOf(word: string): Digest {
  return `sha256:${createHash('sha256').update(word).digest('hex')}` as Digest;
}

export function imageOf(plan: Plan, word: string, tag = 'latest'): ImageIdentity {
  return { repository: plan.repository, tag: tag as Tag, digest: digestOf(word) };
}

export function verifiedOf(image: ImageIdentity): VerifiedImage {
  return {
    ...image,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    platforms: [{ platform: 'linux/amd64', digest: image.digest }],
    size: 1_000_000,
    created: '2026-01-01T00:00:00Z',
  };
}

export function pushOf(image: ImageIdentity, deliveryId = 'delivery-1'): ImagePush {
  return { ...image, source: 'test', deliveryId, receivedAt: new Date().toISOString() };
}
