import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { BuildState } from '../../src/contracts/messages.ts';
import { buildId, buildQueue } from '../../src/contracts/start-options.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { landfallHere } from '../cli/command.ts';
import { runAction, toldOfFaker } from '../support/action-step.ts';
import {
  type BuildWorld,
  connectorDockerfile,
  connectorFiles,
  connectorMetadata,
  startBuildWorld,
} from '../support/build-world.ts';
import { pushImage } from '../support/images.ts';
import { githubJobClaims } from '../support/oidc-issuer.ts';
import { untilScheduled } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';

const connectors = 'airbyte-integrations/connectors';
/** What main has, by a name that no push is told of: what follows it is built where a test says so. */
const asAsked = 'as-asked';

/** From a commit to an image, on real parts: git, buildx, Trivy, a registry. */
describe('builds', function () {
  this.timeout(180_000);
  let world: BuildWorld;

  before(async () => {
    world = await startBuildWorld({
      files: (base) => ({
        'docker-images/Dockerfile.python-connector': connectorDockerfile,
        'docker-images/Dockerfile.manifest-only-connector': connectorDockerfile,
        ...connectorFiles('source-faker', connectorMetadata(base, 'python', '6.2.1')),
        ...connectorFiles('source-yaml', connectorMetadata(base, 'manifest-only', '0.3.0-rc.1')),
        ...connectorFiles('source-broken', connectorMetadata(base, 'python', '1.0.0'), 'echo it has no spec; exit 1'),
        ...connectorFiles('source-mute', connectorMetadata(base, 'python', '1.0.0'), 'echo hello'),
        ...connectorFiles('source-java', connectorMetadata(base, 'java', '1.0.0')),
        ...connectorFiles('source-baseless', connectorMetadata(base, 'python', '1.0.0', '{}')),
        'hosts/Dockerfile': `FROM ${base}\nCOPY Dockerfile /made-of\n`,
        'emulated/Dockerfile': `FROM ${base}\nRUN echo made > /made\n`,
        'web/Dockerfile': `FROM ${base}\nARG GREETING\nRUN --mount=type=secret,id=key test "$(cat /run/secrets/key)" = hush && echo "$GREETING" > /greeting\nCMD ["sleep", "3600"]\n`,
      }),
      isAtGitHub: true,
      configuration: (host, repository) => ({
        builds: [
          { name: 'team-*', source: { git: 'team/app' }, image: `${host}/team/*`, project: { 'airbyte-connector': {} } },
          { name: '*', source: { git: repository }, image: `${host}/airbyte/*`, project: { 'airbyte-connector': {} } },
          {
            ...{
              name: 'emulated',
              source: { git: repository, branch: asAsked, path: 'emulated' },
              image: `${host}/team/emulated`,
            },
            platforms: ['linux/arm64'],
            scan: 'off',
          },
          {
            ...{
              name: 'hosts',
              source: { git: repository, branch: asAsked, path: 'hosts' },
              image: `${host}/team/hosts`,
              scan: 'off',
            },
            platforms: ['linux/amd64', { platform: 'linux/arm64', on: 'arm-1' }],
          },
          {
            ...{
              name: 'web',
              source: { git: repository, branch: asAsked, path: 'web' },
              image: `${host}/team/web`,
              latest: 'always',
            },
            project: { dockerfile: { args: { GREETING: 'hello' }, secrets: { key: 'env:BUILD_KEY' } } },
            smoke: { run: ['cat', '/greeting'] },
          },
        ],
        services: [
          {
            ...{ name: 'web', image: `${host}/team/web`, smoke: 'off', scan: 'off' },
            change: { repository: repository, file: 'deploy.yml', path: 'image' },
          },
        ],
      }),
    });
    await world.remote.git('symbolic-ref', `refs/heads/${asAsked}`, 'refs/heads/main');
    await world.start();
  });
  after(() => world?.stop());

  const head = async () => (await world.remote.git('rev-parse', 'main')).trim();
  const command = (...words: string[]) => landfallHere(['build', ...words], { cwd: world.folder, env: world.env });
  /** @returns the one build that was started, at its end */
  const build = async (...words: string[]): Promise<BuildState> => {
    const { stdout, stderr } = await command(...words, '--wait', '--json');
    const [state] = JSON.parse(stdout || `"${stderr}"`) as BuildState[];
    assert.ok(state, stdout + stderr);
    return state;
  };
  const isKnown = async (workflow: string): Promise<boolean> => {
    try {
      await world.temporal.client.workflow.getHandle(workflow).describe();
      return true;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  };
  const outcome = ({ status, outputs }: BuildState) => [status, outputs.exists, outputs.built, outputs.pushed];
  const stepOf = ({ steps }: BuildState, step: string) => steps.find((each) => each.step === step && each.status !== 'pending');

  it('builds what a push has changed, for both platforms, tested and scanned, with provenance and SBOM', async () => {
    const before = await head();
    const after = await world.remote.commit('main', { [`${connectors}/source-faker/README.md`]: 'new' }, 'docs');
    // Twice, as senders do that are impatient.
    for (const answer of await Promise.all([world.tellPush(before, after), world.tellPush(before, after)]))
      assert.equal(answer.status, 202, await answer.text());
    const state = await world.until(buildId('source-faker', after), 'pushed');
    const { digest, body } = await world.manifest('airbyte/source-faker', '6.2.1');
    assert.equal(state.outputs.digest, digest);
    const [amd, arm, ...attestations] = body.manifests ?? [];
    assert.deepEqual(
      [amd, arm, ...attestations].map((each) => `${each?.platform.os}/${each?.platform.architecture}`),
      ['linux/amd64', 'linux/arm64', 'unknown/unknown', 'unknown/unknown'],
    );
    for (const [index, { digest, annotations = {} }] of attestations.entries()) {
      assert.equal(annotations['vnd.docker.reference.digest'], [amd, arm][index]?.digest);
      const { layers = [] } = (await world.manifest('airbyte/source-faker', digest)).body;
      const types = layers.map((layer) => layer.annotations?.['in-toto.io/predicate-type']);
      assert.equal(types.length, 2, `${types}`);
      assert.match(`${types}`, /slsa\.dev\/provenance.*cyclonedx/);
    }
    assert.deepEqual(
      state.steps.filter(({ step }) => step === 'smoke').map(({ status, reason = '' }) => [status, reason.slice(0, 12)]),
      [
        ['passed', 'done by json'],
        ['skipped', 'the machine '],
      ],
    );
    const { stdout } = await landfallHere(['list'], { cwd: world.folder, env: world.env });
    assert.match(stdout, /source-faker/);
    assert.doesNotMatch(stdout, /source-yaml/, 'nothing has changed there');
    // What was built is not kept once it is pushed.
    await eventually('nothing is left', async () => {
      const left = await readdir(join(world.folder, 'data', 'builds'));
      return left.length === 0;
    });
  });

  it('decides as the original does, and says what happened', async () => {
    assert.deepEqual(outcome(await build('source-yaml', '--dry-run')), ['built', false, true, false]);
    assert.equal((await world.manifest('airbyte/source-yaml', '0.3.0-rc.1')).status, 404);
    assert.deepEqual(outcome(await build('source-faker')), ['unchanged', true, false, false]);
    assert.deepEqual(outcome(await build('source-faker', '--dry-run')), ['built', true, true, false]);
    const forced = await build('source-faker', '--force', '--push-latest');
    assert.deepEqual(outcome(forced), ['pushed', true, true, true]);
    assert.equal((await world.manifest('airbyte/source-faker', '6.2.1')).digest, forced.outputs.digest);
    assert.equal((await world.manifest('airbyte/source-faker', 'latest')).digest, forced.outputs.digest);
    const released = await build('source-yaml', '--release', 'pre-release');
    assert.equal(released.outputs.target?.tag, `0.3.0-rc.1-dev.${(await head()).slice(0, 10)}`);
    assert.equal((await world.manifest('airbyte/source-yaml', 'latest')).status, 404);
    assert.equal((await build('source-yaml', '--tag', 'v9')).outputs.target?.tag, 'v9');
    const both = await command('source-faker', '--dry-run', '--force');
    assert.deepEqual([both.exitCode, /either dryRun or force/.test(both.stderr)], [2, true], both.stderr);
    assert.deepEqual(forced.outputs.target?.facts, {
      name: 'source-faker',
      type: 'python',
      baseImage: world.base,
      version: '6.2.1',
    });
  });

  it('blocks what fails its test with its last lines, and what it cannot build with what was expected', async () => {
    for (const [name, step, says] of [
      ['source-broken', 'smoke', /end with exit code 0 .*exited after .* with code 1/],
      ['source-mute', 'smoke', /a JSON object with "type":"SPEC"/],
      ['source-java', 'validate', /language:java: only connectors in Python and manifest-only/],
      ['source-baseless', 'validate', /data\.connectorBuildOptions\.baseImage/],
    ] as const) {
      const state = await build(name);
      assert.equal(state.status, 'blocked', name);
      const blocked = state.steps.find(({ status }) => status === 'blocked');
      assert.equal(blocked?.step, step);
      assert.match(blocked?.reason ?? '', says);
      assert.equal((await world.manifest(`airbyte/${name}`, '1.0.0')).status, 404);
      if (name === 'source-broken') assert.match(JSON.stringify(blocked?.details), /it has no spec/);
    }
    const none = await command('source-none');
    assert.equal(none.exitCode, 1);
    assert.match(none.stderr, /expected a folder to build named source-none .*there are: .*source-faker/);
    const skipped = await landfallHere(['skip', buildId('source-broken', await head()), 'smoke', '--reason', 'it is known'], {
      cwd: world.folder,
      env: world.env,
    });
    assert.equal(skipped.exitCode, 0, skipped.stderr);
    await world.until(buildId('source-broken', await head()), 'pushed');
  });

  it('refuses what was made by emulation, and names it', async () => {
    const state = await build('emulated');
    assert.equal(state.status, 'blocked');
    const reason = stepOf(state, 'build')?.reason ?? '';
    // Without an emulator the program cannot even be run.
    assert.match(reason, /emulation: .*echo made|exec format error|did not complete successfully/);
  });

  it('has each platform built, and uploaded, by the worker of its host, and joins what they made', async () => {
    assert.equal((await build('hosts')).status, 'pushed');
    const { events } = await world.temporal.client.workflow.getHandle(buildId('hosts', await head())).fetchHistory();
    const scheduled = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: each }) => each ?? []);
    const queuesOf = (name: string) =>
      scheduled.filter(({ activityType }) => activityType?.name === name).map(({ taskQueue }) => taskQueue?.name);
    // The first platform alone, and then the others.
    assert.deepEqual(queuesOf('buildPlatform'), [buildQueue(), buildQueue('arm-1')]);
    assert.deepEqual(queuesOf('pushPlatform').sort(), [buildQueue('arm-1'), buildQueue()]);
    const { manifests = [] } = (await world.manifest('team/hosts', (await head()).slice(0, 12))).body;
    assert.deepEqual(
      manifests.slice(0, 2).map(({ platform }) => platform.architecture),
      ['amd64', 'arm64'],
    );
  });

  it('mounts secrets, passes arguments on, and hands over to the service that follows the tag', async () => {
    const pushed = await build('web');
    assert.equal(pushed.status, 'pushed', JSON.stringify(pushed.steps));
    const [rollout] = pushed.outputs.rollouts ?? [];
    assert.equal(rollout, `rollout:web:latest:${pushed.outputs.digest?.slice(7, 19)}`);
    const { image } = await world.temporal.client.workflow.getHandle(rollout ?? '').query<RolloutState>('state');
    assert.equal(image.digest, pushed.outputs.digest);
  });

  it('leaves a tag that came from somebody else meanwhile, and says so', async () => {
    const commit = await world.remote.commit(
      'main',
      { [`${connectors}/source-mute/main.sh`]: 'echo \'{"type":"SPEC"}\'' },
      'speak',
    );
    const waiting = build('source-mute');
    await untilScheduled(world.temporal, buildId('source-mute', commit), 'checkBuilt');
    const theirs = await pushImage(world.registry, 'airbyte/source-mute', '1.0.0', {});
    const state = await waiting;
    assert.deepEqual(outcome(state), ['unchanged', true, true, false]);
    assert.match(state.reason ?? '', /somebody else pushed 1\.0\.0 meanwhile/);
    assert.equal((await world.manifest('airbyte/source-mute', '1.0.0')).digest, theirs);
  });

  /** The action in a job of the repository, which hands its build over. */
  const job = async (connector: string, inputs: Readonly<Record<string, string>> = {}, claims: object = {}) => {
    const sha = await head();
    const { sub: _, ...others } = githubJobClaims;
    return await runAction('connector-image-build-push', {
      cwd: world.folder,
      inputs: { 'connector-name': connector, 'landfall-url': world.operators, build: `team-${connector}`, ...inputs },
      env: {
        ...world.issuer.jobEnvironment({ ...others, repository: 'team/App', sha, ...claims }),
        GITHUB_SHA: sha,
      },
    });
  };

  it('builds for a job, from a private repository at GitHub, through a kill: the action gives the outputs of one alone', async () => {
    const running = job('source-faker', { 'dry-run': 'false', 'push-latest': 'true' });
    const id = buildId('team-source-faker', await head());
    await eventually(`${id} runs`, async () => isKnown(id));
    await untilScheduled(world.temporal, id, 'buildPlatform');
    await world.landfall().kill();
    await world.start('quick');
    const { exitCode, printed, outputs, summary } = await running;
    assert.equal(exitCode, 0, printed);
    const image = `${world.host}/team/source-faker`;
    const { digest } = await world.manifest('team/source-faker', '6.2.1');
    assert.deepEqual(outputs, toldOfFaker({ image, base: world.base, digest }));
    assert.equal((await world.manifest('team/source-faker', 'latest')).digest, digest);
    assert.match(summary, /build:team-source-faker:[0-9a-f]{12}: pushed/);
    assert.match(
      await readFile(join(world.folder, 'data', 'audit-decisions.jsonl'), 'utf8'),
      /"by":"job team\/App \(run 8571234567\)"/,
    );
    const again = await job('source-faker', { 'dry-run': 'false' }, { run_attempt: '2' });
    const { 'image-exists': exists, 'build-executed': built, 'push-executed': pushed } = again.outputs;
    assert.deepEqual([again.exitCode, exists, built, pushed], [0, 'true', 'false', 'false'], again.printed);
  });

  it('gives each of two jobs that ask for one commit in two ways what it asked for', async () => {
    const asked = [{ 'dry-run': 'false' }, { 'dry-run': 'false', 'tag-override': 'v9' }];
    const ran = await Promise.all(asked.map((inputs) => job('source-yaml', inputs)));
    assert.deepEqual(
      ran.map(({ exitCode, outputs }) => [exitCode, outputs['connector-version-tag'], outputs['push-executed']]),
      [
        [0, '0.3.0-rc.1', 'true'],
        [0, 'v9', 'true'],
      ],
      ran.map(({ printed }) => printed).join('\n'),
    );
    assert.equal(ran.filter(({ printed }) => printed.includes('is under way already')).length, 1);
  });

  it('tells a job why it is blocked, with the last lines, and lets one of another branch do dry runs alone', async () => {
    const topic = { ref: 'refs/heads/topic' };
    const refused = await job('source-broken', { 'dry-run': 'false' }, topic);
    assert.equal(refused.exitCode, 1);
    assert.match(refused.printed, /Landfall answered 403: A job of refs\/heads\/topic may do dry runs alone/);
    const blocked = await job('source-broken', {}, topic);
    assert.equal(blocked.exitCode, 1);
    assert.match(
      blocked.printed,
      /::error::build:team-source-broken:\w+-dry is blocked at smoke \(linux\/amd64\): .*it has no spec/,
    );
    assert.deepEqual([blocked.outputs['build-executed'], blocked.outputs['push-executed']], ['false', 'false']);
  });

  const killedIn = [
    'startBuilds',
    'readTarget',
    'askRegistry',
    'buildPlatform',
    'checkBuilt',
    'pushPlatform',
    'publishBuild',
    'handOver',
  ];
  for (const [index, activity] of killedIn.entries()) {
    it(`goes on after a kill in ${activity}: one push, and the right outputs`, async () => {
      const version = `7.0.${index}`;
      const metadata = connectorMetadata(world.base, 'python', version);
      const commit = await world.remote.commit('main', { [`${connectors}/source-faker/metadata.yaml`]: metadata }, version);
      const deliveryId = crypto.randomUUID();
      const before = (await world.remote.git('rev-parse', 'main^')).trim();
      const told = (await (await world.tellPush(before, commit, deliveryId)).json()) as { building: { id: string }[] };
      const id = buildId('source-faker', commit);
      const [search] = told.building;
      const asks = activity === 'startBuilds' ? (search?.id ?? '') : id;
      await eventually(`${asks} runs`, async () => isKnown(asks));
      await untilScheduled(world.temporal, asks, activity);
      await world.landfall().kill();
      await world.start('quick');
      const state = await world.until(id, 'pushed');
      const { digest } = await world.manifest('airbyte/source-faker', version);
      assert.deepEqual([state.outputs.digest, state.outputs.pushed], [digest, true]);
    });
  }
});
