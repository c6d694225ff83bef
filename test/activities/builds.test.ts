import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBuildActivities } from '../../src/activities/builds.ts';
import { createBuilds } from '../../src/builds/index.ts';
import { projects } from '../../src/builds/projects/index.ts';
import { type BuildSearch, type BuildState, runStateQuery } from '../../src/contracts/messages.ts';
import { buildId, searchAttributes } from '../../src/contracts/start-options.ts';
import type { BuildOptions, BuildPlan } from '../../src/domain/build.ts';
import { parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { Artifacts } from '../../src/platform/artifacts.ts';
import { Registry as RegistryClient } from '../../src/platform/registry/registry.ts';
import { Uploads } from '../../src/platform/registry/uploads.ts';
import { failureOf, runActivity } from '../support/activity.ts';
import { fakeActivities } from '../support/fake-activities.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';
import { pushImage } from '../support/images.ts';
import { planOf, stageOf } from '../support/plans.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { startWorkers, type TestWorkers } from '../support/worker.ts';

/** From a commit to whoever follows the image, on real git, Temporal and registry: only the image itself is there already. */
describe('builds of commits', function () {
  this.timeout(60_000);
  let folder: string;
  let temporal: TestNamespace;
  let registry: Registry;
  let remote: GitRemote;
  let workers: TestWorkers;
  let activities: ReturnType<typeof createBuildActivities>;
  let client: RegistryClient;
  let scheduledPlan: BuildPlan;
  /** Commits whose image is ready only once it is let go. */
  const held = new Map<string, Promise<void>>();
  let followers: readonly Plan[] = [];
  let count = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-build-activities-'));
    [temporal, registry] = await Promise.all([startNamespace(), startRegistry()]);
    const connection = { credentials: async () => undefined, plainHttp: () => true };
    client = new RegistryClient(connection);
    const builds = createBuilds({
      ...{ data: folder, env: gitEnvironment(), projects, builders: new Map(), registry: client },
      remoteOf: async (url) => ({ url, env: {} }),
      uploads: new Uploads(connection),
      artifacts: new Artifacts(join(folder, 'artifacts')),
      secrets: () => assert.fail('there are no secrets'),
    });
    activities = createBuildActivities({
      ...{ builds, registry: client, client: temporal.client },
      plansFor: (repository, tag) => followers.filter((plan) => plan.repository === repository && follows(plan, tag)),
      buildPlanOf: () => scheduledPlan,
    });
    workers = await startWorkers(temporal, fakeActivities(temporal.client, new Map(), { ...activities, ...stepsOfHosts() }));
  });
  after(async () => {
    await workers?.stop();
    await Promise.all([temporal?.stop(), registry?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    followers = [];
    remote = await createRemote({
      files: { Dockerfile: 'FROM scratch\n', 'libs/code': '1', 'services/web/Dockerfile': 'FROM scratch\n' },
    });
    count += 1;
  });
  afterEach(() => remote.destroy());

  const follows = ({ tags }: Plan, tag: Tag) => tags.kind === 'exact' && tags.tags.includes(tag);
  const image = () => parseRepository(`${registry.host}/team/app-${count}`);
  const head = async () => (await remote.git('rev-parse', 'main')).trim();
  const planFor = (overrides: Partial<BuildPlan> = {}, path = ''): BuildPlan => ({
    name: `app-${count}`,
    source: { repository: remote.folder, branch: 'main', path },
    image: image(),
    ...{ project: { kind: 'dockerfile', settings: {} }, builder: { kind: 'none', settings: {} } },
    ...{ parts: [{ platform: 'linux/amd64' }], emulates: false, tag: '{commit}', latest: 'always', checks: [] },
    ...{ timeoutMs: 60_000, decideWithinMs: 60_000 },
    ...overrides,
  });

  /** What hosts do, without a builder: the image of a commit is pushed as it is by its digest. */
  function stepsOfHosts(): Partial<Parameters<typeof fakeActivities>[2]> {
    return {
      buildPlatform: async ({ target, part: { platform } }) => {
        await held.get(target.commit);
        const name = target.image.slice(registry.host.length + 1);
        const digest = await pushImage(registry, name, undefined, { labels: { of: crypto.randomUUID() } });
        return { kind: 'built', image: { platform, digest, size: 1 } };
      },
      pushPlatform: async ({ target, image: { digest } }) => {
        const answer = await fetch(`${registry.url}/v2/${target.image.slice(registry.host.length + 1)}/manifests/${digest}`, {
          headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
        });
        const mediaType = answer.headers.get('content-type');
        return {
          kind: 'uploaded',
          entry: { image: { mediaType, digest, size: (await answer.arrayBuffer()).byteLength } },
          sentBytes: 1,
        };
      },
      discardBuild: async () => undefined,
    };
  }

  const cause = (deliveryId = 'delivery') => ({ source: 'test', deliveryId, receivedAt: new Date().toISOString() });
  const search = (plan: BuildPlan, more: Partial<BuildSearch> = {}): BuildSearch => {
    return { plans: [plan], ref: 'main', options: {}, cause: cause(), ...more };
  };
  const found = async (plan: BuildPlan, more: Partial<BuildSearch> = {}) => {
    const answer = await runActivity(activities.startBuilds, search(plan, more));
    assert.equal(answer.kind, 'found');
    return answer.kind === 'found' ? answer.builds.map(({ build }) => build) : [];
  };
  const begun = async (plan: BuildPlan, ref: string, options: BuildOptions = {}) => {
    const [build] = await found(plan, { ref, options });
    return temporal.client.workflow.getHandle(build ?? assert.fail('nothing is built'));
  };
  const built = async (plan: BuildPlan, ref: string, options?: BuildOptions): Promise<BuildState> => {
    const handle = await begun(plan, ref, options);
    await eventually(`${handle.workflowId} ends`, async () => (await handle.describe()).status.name !== 'RUNNING');
    return await handle.result();
  };
  const latest = () => client.resolve(image(), 'latest' as Tag);

  describe('that end in another order than they were pushed', () => {
    it('leave latest, and whoever follows it, with the newer commit; unless it is asked for', async () => {
      const plan = planFor();
      followers = [planOf({ service: `follows-${count}`, repository: image(), stages: [] })];
      const older = await head();
      const newer = await remote.commit('main', { 'libs/code': '2' }, 'newer');
      const gate = Promise.withResolvers<void>();
      held.set(older, gate.promise);
      const waiting = await begun(plan, older);
      const { outputs: first } = await built(plan, newer);
      assert.equal(await latest(), first.digest);
      assert.deepEqual(first.tags, [newer.slice(0, 12), 'latest']);
      gate.resolve();
      const late = (await waiting.result()) as BuildState;
      assert.equal(late.status, 'pushed');
      assert.equal(await latest(), first.digest);
      assert.deepEqual(late.outputs.tags, [older.slice(0, 12)]);
      assert.deepEqual(late.outputs.rollouts, [], 'nobody follows its own tag');
      assert.match(late.reason ?? '', new RegExp(`latest stays at the newer commit ${newer.slice(0, 12)}`));
      assert.equal(await client.resolve(image(), older.slice(0, 12) as Tag), late.outputs.digest);
      const same = await built(plan, older, { movesLatest: true });
      assert.deepEqual([same.status, same.outputs.built, same.outputs.pushed], ['pushed', false, true]);
      assert.deepEqual([await latest(), same.outputs.tags], [late.outputs.digest, ['latest']]);
      assert.equal(same.outputs.rollouts?.length, 1);
      const wanted = await built(plan, older, { tag: 'v1' as Tag, movesLatest: true });
      assert.equal(await latest(), wanted.outputs.digest);
      assert.deepEqual(wanted.outputs.rollouts?.length, 1);
      // And on again, by whatever comes after it.
      const newest = await remote.commit('main', { 'libs/code': '3' }, 'newest');
      assert.equal((await built(plan, newest)).outputs.digest, await latest());
      assert.equal((await built(plan, older, { force: true })).outputs.digest, await latest());
    });

    it('by the label of an image that somebody else has built; one that says nothing is replaced', async () => {
      const older = await head();
      const newer = await remote.commit('main', { 'libs/code': '2' }, 'newer');
      const name = `team/app-${count}`;
      const theirs = await pushImage(registry, name, 'latest', { labels: { 'org.opencontainers.image.revision': newer } });
      assert.match((await built(planFor(), older)).reason ?? '', /latest stays/);
      assert.equal(await latest(), theirs);
      for (const labels of [{}, { 'org.opencontainers.image.revision': 'f'.repeat(40) }]) {
        await pushImage(registry, name, 'latest', { labels });
        const { outputs } = await built(planFor(), older, { tag: `v${Object.keys(labels).length}` as Tag });
        assert.equal(await latest(), outputs.digest);
      }
    });
  });

  it('are passed on once a run for all of their tags, also where one schedule causes many', async () => {
    const dispatch = { repository: 'team/deployment', event: 'pushed', per: 'push' as const };
    const service = `passes-on-${count}`;
    const follow = (...tags: string[]) => {
      followers = [
        planOf({
          service,
          repository: image(),
          tags: { kind: 'exact', tags: tags as Tag[] },
          stages: [stageOf('all', { dispatch })],
        }),
      ];
    };
    const [first, second] = [await head(), await remote.commit('main', { 'libs/code': '2' }, 'second')];
    follow('latest', first.slice(0, 12));
    const one = await built(planFor(), first);
    const [id = '', ...others] = one.outputs.rollouts ?? [];
    assert.deepEqual(others, []);
    const passedOn = temporal.client.workflow.getHandle(id);
    await passedOn.result();
    const { staticSummary } = await passedOn.describe();
    assert.equal(await staticSummary(), `${service}: ${first.slice(0, 12)}, latest`);
    // An attempt after it ended, whose answer was lost.
    const { runId = '' } = await temporal.client.workflow.getHandle(buildId(`app-${count}`, first)).describe();
    const plan = planFor();
    const subject = { plan, name: plan.name, folder: '', commit: first, branch: 'main', options: {} };
    const target = one.outputs.target ?? assert.fail('it has none');
    const { digest = assert.fail('nor this'), tags = [] } = one.outputs;
    const again = await runActivity(
      activities.handOver,
      { subject, target, digest, tags, cause: cause() },
      { workflowExecution: { workflowId: buildId(plan.name, first), runId } },
    );
    assert.deepEqual(again.rollouts, [id]);
    const two = await built(planFor(), second);
    assert.equal(two.status, 'pushed');
    assert.notEqual(two.outputs.rollouts?.[0], id);
    await temporal.client.workflow.getHandle(two.outputs.rollouts?.[0] ?? '').result();
  });

  describe('that a push may mean', () => {
    it('are those of a folder whatever has changed, and of a pattern those in which something has', async () => {
      const before = await head();
      const after = await remote.commit('main', { 'libs/code': '2' }, 'shared code');
      const pushed = { before, after };
      assert.deepEqual(await found(planFor({}, 'services/web'), pushed), [buildId(`app-${count}`, after)]);
      const many = planFor({ name: `*-${count}`, image: `${image()}/*` }, 'services/*');
      assert.deepEqual(await found(many, pushed), []);
      assert.deepEqual(await found(many), [buildId(`web-${count}`, after)]);
      const missing = await failureOf(found(planFor({ name: '*' }, 'elsewhere/*'), pushed));
      assert.equal(missing.type, 'BuildRefused');
    });

    it('are refused where two folders have one name; of one folder it is that of the plan with the very name', async () => {
      const name = `web-${count}`;
      const pattern = planFor({ name: `*-${count}`, image: `${image()}/*` }, 'services/*');
      const refused = await failureOf(found(planFor({ name }, 'libs'), { plans: [planFor({ name }, 'libs'), pattern] }));
      assert.equal(refused.type, 'BuildRefused');
      assert.match(refused.message, new RegExp(`found ${name} for libs and for services/web`));
      const own = planFor({ name }, 'services/web');
      for (const plans of [
        [own, pattern],
        [pattern, own],
      ]) {
        const [build, ...others] = await found(own, { plans, cause: cause(crypto.randomUUID()), options: { dryRun: true } });
        assert.deepEqual(others, []);
        const { outputs } = (await temporal.client.workflow.getHandle(build ?? '').result()) as BuildState;
        assert.equal(outputs.target?.image, image());
      }
    });

    it('are not known before the forge shows the push: it is asked again, for some minutes', async () => {
      const before = await head();
      const pushed = { before, after: 'a'.repeat(40) };
      await assert.rejects(
        found(planFor(), pushed),
        (error: Error) => /it is asked again/.test(error.message) && error.name === 'Error',
      );
      const receivedAt = new Date(Date.now() - 10 * 60_000).toISOString();
      const late = await found(planFor(), { ...pushed, cause: { ...cause(), receivedAt } });
      assert.deepEqual(late, [buildId(`app-${count}`, before)]);
    });

    it('are refused where a commit is not there; what a forge has told of is asked for again, for some minutes', async () => {
      const told = { ref: 'a'.repeat(40), cause: { ...cause(), source: 'job' } };
      await assert.rejects(
        found(planFor(), told),
        (error: Error) => /found none named 'a+'; it is asked again/.test(error.message) && error.name === 'Error',
      );
      const receivedAt = new Date(Date.now() - 10 * 60_000).toISOString();
      for (const refused of [
        { ...told, cause: { ...told.cause, receivedAt } },
        { ...told, cause: { ...told.cause, source: 'operator' } },
      ])
        assert.equal((await failureOf(found(planFor(), refused))).type, 'BuildRefused');
    });
  });

  it('are begun again by their schedule where they were aborted, and not where they were rejected', async () => {
    scheduledPlan = planFor();
    const commit = await remote.commit('main', { Dockerfile: undefined }, 'nothing to build');
    const id = buildId(`app-${count}`, commit);
    const scheduled = () => found(scheduledPlan, { plans: [], scheduled: scheduledPlan.name });
    const handle = temporal.client.workflow.getHandle(id);
    for (const verb of ['abort', 'reject']) {
      assert.deepEqual(await scheduled(), [id]);
      await eventually(`${id} is blocked`, async () => {
        const { typedSearchAttributes } = await handle.describe();
        return typedSearchAttributes.get(searchAttributes.status) === 'blocked';
      });
      await handle.executeUpdate(verb, { args: [{ by: 'ann', reason: 'enough' }] });
      await handle.result();
    }
    assert.equal((await handle.query(runStateQuery)).status, 'rejected');
    assert.deepEqual(await scheduled(), []);
    const another = await remote.commit('main', { 'libs/code': '2' }, 'another');
    assert.deepEqual(await scheduled(), [buildId(`app-${count}`, another)]);
    assert.deepEqual(await found(scheduledPlan, { ref: commit }), [id], 'whoever asks for it');
  });

  it('are of the branch that was named, however it was, or of that of whoever knows where the commit is from', async () => {
    const plan = planFor({ tag: '{branch}-{commit}' });
    const commit = await head();
    const digits = commit.slice(0, 12);
    await remote.git('tag', 'v1', 'main');
    for (const [more, tag] of [
      [{ ref: 'main' }, `main-${digits}`],
      [{ ref: 'refs/heads/main' }, `main-${digits}`],
      [{ ref: 'refs/tags/v1' }, `v1-${digits}`],
      [{ ref: commit }, `main-${digits}`],
      [{ ref: commit, branch: 'dev/a' }, `dev-a-${digits}`],
    ] as const) {
      const [build] = await found(plan, { ...more, options: { dryRun: true } });
      const { outputs } = (await temporal.client.workflow.getHandle(build ?? '').result()) as BuildState;
      assert.equal(outputs.target?.tag, tag);
    }
  });

  it('are of the branch that the configuration names now, also where their schedule was made for another one', async () => {
    const { source, ...plan } = planFor({ tag: '{branch}-{commit}' });
    scheduledPlan = { ...plan, source: { ...source, branch: 'release' } };
    const release = await remote.commit('release', { 'libs/code': '2' }, 'on the other branch');
    const [build, ...others] = await found(scheduledPlan, { plans: [], scheduled: scheduledPlan.name, ref: 'main' });
    assert.deepEqual([build, ...others], [buildId(`app-${count}`, release)]);
    const { outputs } = (await temporal.client.workflow.getHandle(build ?? '').result()) as BuildState;
    assert.equal(outputs.target?.tag, `release-${release.slice(0, 12)}`);
  });
});
