import { createHash } from 'node:crypto';
import type { BuildActivities, BuildHostActivities } from '../../src/contracts/activities/builds.ts';
import type { BuildStart } from '../../src/contracts/messages.ts';
import type { BuildOptions, BuildPlan } from '../../src/domain/build.ts';
import type { Repository, Tag } from '../../src/domain/image-reference.ts';
import { checkOf, digestOf } from './plans.ts';

/** What starts the build of a commit, for tests of the workflows: two platforms, one check. */
export function buildStartOf(name: string, options: BuildOptions = {}, overrides: Partial<BuildPlan> = {}): BuildStart {
  const plan: BuildPlan = {
    name,
    source: { repository: `team/${name}`, branch: 'main', path: '' },
    image: `registry.example.test/team/${name}`,
    project: { kind: 'dockerfile', settings: {} },
    builder: { kind: 'buildx', settings: {} },
    parts: [{ platform: 'linux/amd64' }, { platform: 'linux/arm64' }],
    emulates: false,
    tag: '{commit}',
    latest: 'never',
    checks: [checkOf('scan', {})],
    timeoutMs: 60_000,
    decideWithinMs: 60_000,
    ...overrides,
  };
  const commit = createHash('sha1').update(name).digest('hex');
  const cause = { source: 'test', deliveryId: `build of ${name}`, receivedAt: new Date().toISOString() };
  return { subject: { plan, name, folder: '', commit, branch: 'main', options }, cause };
}

/** Typed stand-ins for the steps of builds: the registry has nothing, every platform is built, every check passes. */
export function fakeBuilds(
  overrides: Partial<BuildActivities & BuildHostActivities> = {},
): BuildActivities & BuildHostActivities {
  return {
    async startBuilds() {
      throw new Error('no commit is looked for in the tests of workflows');
    },
    async readTarget({ plan, name, folder, commit }) {
      const image = plan.image as Repository;
      return {
        kind: 'read',
        target: { name, folder, commit, image, tag: commit.slice(0, 12) as Tag, movesLatest: false, facts: {} },
      };
    },
    askRegistry: async () => ({ kind: 'asked' }),
    buildPlatform: async ({ target, part: { platform } }) => ({
      kind: 'built',
      image: { platform, digest: digestOf(`${target.name} ${platform}`), size: 1_000 },
    }),
    checkBuilt: async () => ({ kind: 'checked', text: 'nothing is wrong', evidence: [] }),
    pushPlatform: async ({ image }) => ({ kind: 'uploaded', entry: { image }, sentBytes: image.size }),
    publishBuild: async ({ target }) => ({ kind: 'pushed', digest: digestOf(target.name), tags: [target.tag] }),
    handOver: async () => ({ kind: 'handed-over', rollouts: [] }),
    async discardBuild() {},
    ...overrides,
  };
}
