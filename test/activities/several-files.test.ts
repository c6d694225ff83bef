import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMerge } from '../../src/activities/merge.ts';
import { createPropose } from '../../src/activities/propose.ts';
import type { ProposalInput } from '../../src/contracts/activities/delivery.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import type { Proposal, ProposeOutcome } from '../../src/domain/outcomes.ts';
import type { ChangedFile, ChangePlan } from '../../src/domain/plan.ts';
import type { Forge } from '../../src/forges/forge.ts';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { runActivity } from '../support/activity.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { forgeOf } from '../support/github-forge.ts';
import { imageOf, planOf, pushOf, stageOf, verifiedOf } from '../support/plans.ts';

const image = 'registry.example.test/team/web';
const branch = 'landfall/web-production';
const files = {
  'docker-compose.yml': `services:\n  web:\n    image: "${image}:1.0.0" # one\n  cache: {image: redis:7}\n`,
  'chart/values.yaml': `image:\r\n  repository: ${image}\r\n  tag: 1.0.0\r\nreplicas: 2`,
  'cluster/kustomization.yaml': 'resources:\n- app.yaml\n',
  '.env': `WEB=${image}:1.0.0\n`,
};
type Name = keyof typeof files;

const rest = { pin: 'tag@digest', value: 'reference' } as const;
const also: readonly ChangedFile[] = [
  { file: 'chart/values.yaml', target: { kind: 'images' }, ...rest },
  { file: 'cluster/kustomization.yaml', target: { kind: 'images' }, ...rest },
  { file: '.env', target: { kind: 'env', key: 'WEB' }, ...rest, pin: 'tag' },
];

function filesWith(tag: string, digest: string): Record<Name, string> {
  return {
    'docker-compose.yml': files['docker-compose.yml'].replace(':1.0.0', `:${tag}@${digest}`),
    'chart/values.yaml': files['chart/values.yaml'].replace('1.0.0', `${tag}@${digest}`),
    'cluster/kustomization.yaml': `${files['cluster/kustomization.yaml']}images:\n- name: ${image}\n  newTag: ${tag}\n  digest: ${digest}\n`,
    '.env': files['.env'].replace('1.0.0', tag),
  };
}

interface Place {
  readonly forge: Forge;
  readonly repository: string;
  commit(on: string, changed: Partial<Record<string, string>>): Promise<string>;
  stop(): Promise<unknown>;
}

async function onGit(): Promise<Place> {
  const remote: GitRemote = await createRemote({ files });
  const folder = await mkdtemp(join(tmpdir(), 'landfall-clones-'));
  return {
    forge: createGitForge({ folder, env: gitEnvironment() }),
    repository: remote.folder,
    commit: (on, changed) => remote.commit(on, changed, 'by hand', 'Ann Person'),
    stop: () => Promise.all([remote.destroy(), rm(folder, { recursive: true, force: true })]),
  };
}

async function onGitHub(): Promise<Place> {
  const github: GitHub = await startGitHub();
  await github.createRepository('team/deployment', { files });
  return {
    forge: forgeOf(github, { token }),
    repository: 'team/deployment',
    commit: (on, changed) =>
      github.pushCommit('team/deployment', { branch: on, files: changed as Record<string, string>, author: 'Ann Person' }),
    stop: () => github.stop(),
  };
}

for (const [name, start] of [['git', onGit] as const, ['GitHub', onGitHub] as const]) {
  describe(`a change of several files on ${name}`, function () {
    this.timeout(60_000);
    let place: Place;
    beforeEach(async () => {
      place = await start();
    });
    afterEach(() => place.stop());

    function inputOf(tag: string, more: Partial<ChangePlan> = {}) {
      const { change } = stageOf('production');
      assert.ok(change);
      const stage = stageOf('production', { change: { ...change, repository: place.repository, also, ...more } });
      const plan = planOf({ stages: [stage], tags: { kind: 'semver', range: '*' } });
      return { plan, stage, image: verifiedOf(imageOf(plan, tag, tag)) };
    }

    function propose(tag: string, more: Partial<ChangePlan> = {}): Promise<ProposeOutcome> {
      const input = inputOf(tag, more);
      const activity = createPropose({ forgeFor: () => place.forge }).propose;
      return run(activity, { ...input, push: pushOf({ ...input.image, tag: tag as Tag }), checks: [] });
    }

    async function proposed(tag: string): Promise<ProposalInput> {
      const outcome = await propose(tag);
      assert.ok(outcome.kind === 'proposed', JSON.stringify(outcome));
      return { ...inputOf(tag), proposal: outcome.proposal };
    }

    const on = () => createMerge({ forgeFor: () => place.forge });
    const headed = (input: ProposalInput, head: string): ProposalInput => ({ ...input, proposal: { ...input.proposal, head } });

    async function read(on: string): Promise<Record<string, string | undefined>> {
      const head = (await place.forge.head(place.repository, on)) ?? assert.fail(`no branch ${on}`);
      const texts = Object.keys(files).map(async (path) => [path, await place.forge.readFile(place.repository, head, path)]);
      return Object.fromEntries(await Promise.all(texts));
    }

    it('is one proposal, merged as one, and taken back as one, whatever people changed beside it', async () => {
      const input = await proposed('2.0.0');
      const wanted = filesWith('2.0.0', input.image.digest);
      assert.deepEqual(await read(branch), wanted);
      assert.deepEqual(input.proposal.perFile, [1, 1, 3, 1]);
      assert.equal(
        (await place.forge.compare(place.repository, input.proposal.baseCommit ?? '', input.proposal.head)).commits.length,
        1,
      );
      assert.deepEqual((await proposed('2.0.0')).proposal.head, input.proposal.head, 'proposed again, it is the same');

      const foreign = await place.commit(branch, {
        'chart/values.yaml': wanted['chart/values.yaml'].replace('replicas: 2', 'replicas: 3'),
      });
      await assert.rejects(run(on().mergeChange, headed(input, foreign)), {
        type: 'BranchConflict',
        message:
          /in docker-compose\.yml, chart\/values\.yaml, .* and nothing else, found chart\/values\.yaml \(beside the image\)/,
      });
      const clean = await place.commit(branch, { 'chart/values.yaml': wanted['chart/values.yaml'] });
      assert.equal((await run(on().mergeChange, headed(input, clean))).kind, 'merged');
      assert.deepEqual(await read('main'), wanted);
      const holds = await run(on().baseHolds, input);
      assert.ok(holds.kind === 'looked' && holds.holds);
      const again = await propose('2.0.0');
      assert.equal(again.kind, 'unchanged');

      await place.commit('main', { 'chart/values.yaml': wanted['chart/values.yaml'].replace('replicas: 2', 'replicas: 4') });
      const back = await run(on().revertChange, { ...input, reason: 'it fails' });
      assert.ok(back.kind === 'proposed', JSON.stringify(back));
      const { proposal }: { proposal: Proposal } = back;
      assert.equal((await run(on().mergeChange, { ...input, proposal })).kind, 'merged');
      const restored = { ...files, 'chart/values.yaml': files['chart/values.yaml'].replace('replicas: 2', 'replicas: 4') };
      assert.deepEqual(await read('main'), restored);
      const restoredHolds = await run(on().baseHolds, { ...input, proposal });
      assert.ok(restoredHolds.kind === 'looked' && restoredHolds.holds);
    });

    it('is taken back in no file where somebody changed the image in one, and left where one has a later tag, or is not there', async () => {
      const input = await proposed('2.0.0');
      await run(on().mergeChange, input);
      const theirs = { ...filesWith('2.0.0', input.image.digest), '.env': `WEB=${image}:3.0.0\n` };
      await place.commit('main', { '.env': theirs['.env'] });
      await assert.rejects(run(on().revertChange, { ...input, reason: 'it fails' }), {
        type: 'BaseMovedOn',
        message: /expected \.env on main .* found that WEB says 'registry\.example\.test\/team\/web:3\.0\.0', since .* by hand/,
      });
      assert.deepEqual(await read('main'), theirs);
      assert.deepEqual(await propose('2.0.0'), { kind: 'outdated', tag: '3.0.0' });
      await assert.rejects(propose('4.0.0', { also: [...also, { ...rest, file: 'no.yaml', target: { kind: 'images' } }] }), {
        type: 'FileNotFound',
        message: /expected the file no\.yaml on branch main/,
      });
      await assert.rejects(propose('4.0.0', { also: [...also, ...also.slice(0, 1)] }), {
        type: 'EditRefused',
        message: /names chart\/values\.yaml twice/,
      });
    });
  });
}

function run<Input, Outcome>(activity: (input: Input) => Promise<Outcome>, input: Input): Promise<Outcome> {
  const workflowExecution = { workflowId: 'rollout:web:2.0.0:0123456789ab', runId: 'run-1' };
  return runActivity(activity, input, { workflowExecution });
}
