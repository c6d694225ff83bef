import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { quarantineUpdate, type ResolveRequest, type RolloutStart } from '../../src/contracts/messages.ts';
import { laneStartOptions } from '../../src/contracts/start-options.ts';
import type { ResolveOutcome } from '../../src/domain/outcomes.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import type { RolloutRow, Started } from '../../src/operations/index.ts';
import { fakeActivities } from '../support/fake-activities.ts';
import { digestOf } from '../support/plans.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { startWorkers, type TestWorkers } from '../support/worker.ts';
import { landfall, landfallHere, type Ran } from './command.ts';

const operator = userInfo().username;

/** With the real workflows, so that what is printed is what they do. */
describe('landfall trigger', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  let folder: string;
  const lookUps: ResolveRequest[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-trigger-'));
    await writeFile(join(folder, 'landfall.yaml'), configuration);
    temporal = await startNamespace();
    workers = await startWorkers(
      temporal,
      fakeActivities(temporal.client, new Map(), { resolveTags: lookUpTags, 'check:scan': scan }),
    );
  });

  after(async () => {
    await workers?.stop();
    await temporal?.stop();
    await rm(folder, { recursive: true });
  });

  /** A registry that has every tag but `absent`, and shows nobody the tag `secret`. */
  async function lookUpTags(input: ResolveRequest): Promise<ResolveOutcome> {
    lookUps.push(input);
    const { repository, tag } = input.push;
    if (tag === 'absent') {
      throw ApplicationFailure.create({
        type: 'NotInRegistry',
        message: `${tag} is not in the registry yet`,
        nextRetryDelay: '1h',
      });
    }
    if (tag === 'secret') throw ApplicationFailure.nonRetryable('the registry refused the credentials', 'CredentialsRefused');
    return { kind: 'found', images: [{ repository, tag, digest: digestOf(`${repository}:${tag}`) }] };
  }

  async function scan(): Promise<never> {
    throw ApplicationFailure.nonRetryable('1 critical finding', 'ScanRejected');
  }

  const command = (...words: string[]): Promise<Ran> => landfallHere(words, { cwd: folder, env: temporal.env });

  it('names the rollout that the look-up of tag latest started, and says so when it was running already', async () => {
    const { exitCode, stdout, stderr } = await command('trigger', 'ghcr.io/team/app');
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /^app: started: .*landfall\S* show app:latest:[0-9a-f]{12}\n$/);
    const asked = lookUps.at(-1);
    assert.equal(asked?.manual, true);
    const { source, tag, actor, trigger, digest } = asked.push;
    // A name that nothing proves is no actor.
    const expected = { source: 'operator', tag: 'latest', actor: undefined, trigger: { by: operator }, digest: undefined };
    assert.deepEqual({ source, tag, actor, trigger, digest }, expected);
    const again = await command('trigger', 'ghcr.io/team/app');
    assert.match(again.stdout, /^app: was running already, and goes on: .*landfall\S* show app:latest:[0-9a-f]{12}\n$/);
  });

  it('takes the name of a service for its image, with a tag too', async () => {
    assert.match((await command('trigger', 'web:1.2.0')).stdout, /^web: started: .* show web:1\.2\.0:/);
    assert.equal(lookUps.at(-1)?.push.repository, 'ghcr.io/team/frontend');
  });

  it('asks for a tag where the service does not follow latest, and exits 2', async () => {
    for (const image of ['web', 'ghcr.io/team/frontend']) {
      const { exitCode, stderr } = await command('trigger', image);
      assert.equal(exitCode, 2);
      assert.equal(stderr, 'web follows semver >=1.0 <2: name a tag\n');
    }
  });

  it('has a digest rolled out that is named, and takes the only tag that a service follows', async () => {
    const digest = digestOf('named');
    const { exitCode, stdout, stderr } = await command('trigger', `only@${digest}`);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, new RegExp(`^only: started: .* show only:stable:${digest.slice(7, 19)}\n$`));
    const handle = temporal.client.workflow.getHandle(`rollout:only:stable:${digest.slice(7, 19)}`);
    const history = await handle.fetchHistory();
    const input = history.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data;
    const { manual: asked, named } = JSON.parse(Buffer.from(input ?? []).toString()) as RolloutStart;
    assert.deepEqual([asked, named], [true, true]);
  });

  it('starts no digest that is in quarantine, and says what lets it out', async () => {
    const digest = digestOf('bad');
    const startWorkflowOperation = new WithStartWorkflowOperation('lane', laneStartOptions('only'));
    await temporal.client.workflow.executeUpdateWithStart(quarantineUpdate, {
      args: [{ digest, by: 'ann', reason: 'it leaks' }],
      startWorkflowOperation,
    });
    const { exitCode, stderr } = await command('trigger', `only@${digest}`);
    assert.equal(exitCode, 1);
    assert.match(stderr, new RegExp(`^${digest} is in quarantine since .*it leaks.*landfall unquarantine only ${digest}`));
  });

  for (const [tag, why] of [
    ['absent', 'absent is not in the registry yet'],
    ['secret', 'the registry refused the credentials'],
  ] as const) {
    it(`says why nothing is started yet: ${why}`, async () => {
      const { exitCode, stdout } = await command('trigger', `ghcr.io/team/${tag}:${tag}`);
      assert.equal(exitCode, 0);
      assert.equal(stdout, `${tag}: nothing started yet: ${why} (resolve:${tag})\n`);
      const asJson = await command('trigger', `${tag}:${tag}`, '--json');
      assert.equal(asJson.exitCode, 0, asJson.stderr);
      const [started] = JSON.parse(asJson.stdout) as Started[];
      assert.deepEqual(started, { service: tag, tag, workflow: `resolve:${tag}`, rollouts: [], note: why });
    });
  }

  it('says what is followed where nobody follows the image, the tag, or the service does not', async () => {
    for (const words of [['ghcr.io/else/app'], ['ghcr.io/team/app:beta'], ['ghcr.io/team/app', '--service', 'web']]) {
      const { exitCode, stderr } = await command('trigger', ...words);
      assert.equal(exitCode, 1, words.join(' '));
      assert.match(stderr, /follow/);
      assert.match(stderr, /app: ghcr\.io\/team\/app \(latest\)/);
    }
  });

  it('says what was asked where no worker takes it up', async () => {
    await workers.stop();
    const { exitCode, stdout, stderr } = await command('trigger', 'ghcr.io/team/late');
    workers = await startWorkers(
      temporal,
      fakeActivities(temporal.client, new Map(), { resolveTags: lookUpTags, 'check:scan': scan }),
    );
    assert.equal(exitCode, 0, stderr);
    assert.match(
      stdout,
      /^late: the registry is being asked what latest is now \(resolve:late\): .*landfall\S* list --service late\n$/,
    );
  });

  it('--wait --json tells of each service what became of its own rollouts', async () => {
    const { exitCode, stdout } = await landfall(['trigger', 'ghcr.io/team/shared', '--wait', '--json'], {
      ...{ cwd: folder, env: temporal.env },
    });
    assert.equal(exitCode, 1);
    const found = JSON.parse(stdout) as (Started & { readonly states: readonly RolloutState[] })[];
    assert.deepEqual(
      found.map(({ service, states }) => [service, ...states.map((state) => `${state.service} ${state.status}`)]),
      [
        ['one', 'one blocked'],
        ['two', 'two blocked'],
      ],
    );
  });

  it('leaves what landfall list shows with the reason, as soon as a rollout is blocked', async () => {
    await command('trigger', 'ghcr.io/team/other');
    const row = await eventually('the rollout to be listed as blocked', async () => {
      const { stdout } = await command('list', '--service', 'other', '--status', 'blocked', '--json');
      return (JSON.parse(stdout) as RolloutRow[])[0];
    });
    assert.equal(row.reason, '1 critical finding');
    assert.match((await command('list', '--service', 'other')).stdout, /blocked .* 1 critical finding$/m);
  });
});

/** Its secret is not there, which is no business of an operator's shell. */
const configuration = `
receivers: { distribution: { token: env:NOT_IN_THE_OPERATORS_SHELL } }
defaults: { change: { repository: ./deployment.git, file: docker-compose.yml } }
services:
  - image: ghcr.io/team/app
  - image: ghcr.io/team/other
  - image: ghcr.io/team/late
  - { image: ghcr.io/team/frontend, name: web, tags: { semver: ">=1.0 <2" } }
  - { image: ghcr.io/team/only, tags: [stable] }
  - { image: ghcr.io/team/shared, name: one, tags: [latest] }
  - { image: ghcr.io/team/shared, name: two, tags: [latest] }
  - { image: ghcr.io/team/absent, tags: [absent] }
  - { image: ghcr.io/team/secret, tags: [secret] }
`;
