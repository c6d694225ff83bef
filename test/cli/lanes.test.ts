import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type GlobalHoldState, globalHoldQuery, laneQuery } from '../../src/contracts/messages.ts';
import { globalHoldId, laneId, laneStartOptions, taskQueues } from '../../src/contracts/start-options.ts';
import { hashOfToken, isProofOf } from '../../src/domain/decision-proof.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import { emptyLane, type LaneState } from '../../src/domain/lane/state.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { runWorkers, type TestWorkers } from '../support/worker.ts';
import { landfall, landfallHere, type Ran } from './command.ts';
import { runningOf, saidQuery } from './stand-in-lanes.ts';
import { standInLanes } from './stand-ins.ts';

const operator = userInfo().username;

describe('what operators say to lanes', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-lanes-'));
    await writeFile(join(folder, 'landfall.yaml'), configuration);
    temporal = await startNamespace();
    workers = await runWorkers(temporal, [standInLanes]);
  });

  after(async () => {
    await workers?.stop();
    await temporal?.stop();
    await rm(folder, { recursive: true });
  });

  const command = (...words: readonly string[]): Promise<Ran> => landfallHere(words, { cwd: folder, env: temporal.env });

  async function startLane(service: string, state: LaneState): Promise<void> {
    await temporal.client.workflow.start('lane', { ...laneStartOptions(service), args: [{ service, state }] });
  }

  const laneOf = (service: string): Promise<LaneState> => temporal.client.workflow.getHandle(laneId(service)).query(laneQuery);

  /** The command did what it was asked, and said so in one line. */
  async function said(...words: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await command(...words);
    assert.equal(exitCode, 0, stderr);
    assert.equal(stderr, '');
    assert.equal(stdout.split('\n').length, 2, stdout);
    return stdout.trimEnd();
  }

  async function refused(exitCode: number, ...words: readonly string[]): Promise<string> {
    const ran = await command(...words);
    assert.deepEqual([ran.exitCode, ran.stdout], [exitCode, ''], ran.stderr);
    return ran.stderr.trimEnd();
  }

  it('hold reaches a lane that runs, with stage, reason and name', async () => {
    await startLane('held', laneWith('held'));
    assert.equal(await said('hold', 'held', '--reason', ' a fair '), `held: all stages held by ${operator} (unverified)`);
    await said('hold', 'held', '--stage', 'production', '--reason', 'friday', '--as', 'ann');
    const { hold, stages } = await laneOf('held');
    assert.deepEqual([hold?.by, hold?.reason], [operator, 'a fair']);
    assert.deepEqual([stages.production?.hold?.by, stages.production?.hold?.reason], ['ann', 'friday']);
  });

  it('hold and quarantine start the lane of a service that was never rolled out', async () => {
    await said('hold', 'app', '--reason', 'not yet');
    assert.equal((await laneOf('app')).hold?.reason, 'not yet');
    await said('quarantine', 'other', digestOf('9'), '--reason', 'stolen key');
    assert.equal((await laneOf('other')).quarantine[digestOf('9')]?.reason, 'stolen key');
    await said('hold', 'web-shop', '--stage', 'staging', '--reason', 'named by a pattern');
    assert.equal((await laneOf('web-shop')).stages.staging?.hold?.reason, 'named by a pattern');
  });

  it('proves what it says to a lane, and to all of them, with LANDFALL_TOKEN, and again where somebody else was first', async () => {
    const token = `the token of ann, ${'a'.repeat(32)}`;
    const tokenHash = await hashOfToken(token);
    const env = { ...temporal.env, LANDFALL_TOKEN: token };
    const say = (...words: string[]) => landfallHere([...words, '--as', 'ann'], { cwd: folder, env });
    // Nothing of this service was ever rolled out.
    assert.equal((await say('hold', 'proven', '--reason', 'x')).exitCode, 1);
    for (const [service, reason, earlier] of [
      ['web-proven', 'a fair', 7],
      ['web-late', 'late', 8],
    ] as const) {
      const { stdout, stderr } = await say('hold', service, '--reason', reason);
      assert.equal(stdout, `${service}: all stages held by ann\n`, stderr);
      const { proof = '', ...said } = (await temporal.client.workflow.getHandle(laneId(service)).query(saidQuery)) ?? {};
      assert.deepEqual(said, { by: 'ann', reason, earlier });
      const proven = { ...said, by: 'ann', verb: 'hold', rollout: laneId(service), runId: '' };
      assert.equal(await isProofOf(tokenHash, proven, proof), true);
    }
    assert.match((await say('hold', '--all', '--reason', 'x')).stdout, /^all services are held by ann: /);
    assert.match((await say('release', '--all')).stdout, /released by ann\n/);
  });

  it('hold takes no service, and no stage, that neither lane nor configuration knows', async () => {
    assert.match(await refused(1, 'hold', 'apq', '--reason', 'typo'), /no service 'apq'\n.*landfall\.yaml has:\n {2}app: /);
    assert.equal((await temporal.client.workflow.count(`WorkflowId = '${laneId('apq')}'`)).count, 0);
    await startLane('staged', laneWith('staged'));
    const wrongStage = await refused(1, 'hold', 'staged', '--stage', 'prod', '--reason', 'typo');
    assert.match(wrongStage, /staged has no stage 'prod': expected one of staging, production/);
    const unknownStage = await refused(1, 'hold', 'other', '--stage', 'prod', '--reason', 'typo');
    assert.match(unknownStage, /other has no stage 'prod': expected one of production$/);
  });

  it('hold and rollback need a reason, and hold a service or --all', async () => {
    assert.match(await refused(2, 'hold', 'app'), /has to know why: landfall hold \.\.\. --reason TEXT/);
    assert.match(await refused(2, 'rollback', 'app', 'production', '--reason', ' '), /landfall rollback \.\.\. --reason/);
    assert.match(await refused(2, 'pin', 'app', 'production', digestOf('a')), /landfall pin \.\.\. --reason/);
    for (const words of [['hold'], ['release'], ['hold', 'app', '--all'], ['hold', '--all', '--stage', 'production']]) {
      assert.match(await refused(2, ...words, '--reason', 'x'), /expected a service .*, or --all/);
    }
  });

  it('release ends a hold, of a service or a stage', async () => {
    await startLane('released', laneWith('released'));
    await command('hold', 'released', '--reason', 'x');
    assert.equal(await said('release', 'released'), `released: all stages released by ${operator} (unverified)`);
    assert.equal((await laneOf('released')).hold, undefined);
    assert.match(await said('release', 'released', '--stage', 'production'), /^released: production released by/);
  });

  it('pin, quarantine and unquarantine complete a digest from what the lane knows', async () => {
    await startLane('digests', laneWith('digests'));
    const pinned = await said('pin', 'digests', 'production', 'bbbbbbbbbbbb', '--reason', 'known good');
    assert.equal(pinned, `digests: production pinned to ${digestOf('b')} by ${operator} (unverified)`);
    await said('quarantine', 'digests', `sha256:${'A'.repeat(12)}`);
    await said('unquarantine', 'digests', 'dddddddddddd');
    await said('quarantine', 'digests', 'e'.repeat(64));
    const { stages, quarantine } = await laneOf('digests');
    assert.deepEqual([stages.production?.pin?.digest, stages.production?.pin?.reason], [digestOf('b'), 'known good']);
    assert.deepEqual(Object.keys(quarantine), [digestOf('a'), digestOf('e')]);
  });

  it('refuses the beginning of a digest that the lane does not know, or that several have', async () => {
    const state = laneWith('several');
    const [one, two] = [`sha256:${'c'.repeat(63)}0`, `sha256:${'c'.repeat(63)}1`] as Digest[];
    assert.ok(one !== undefined && two !== undefined);
    for (const digest of [one, two]) state.quarantine[digest] = { reason: 'x', at: '2026-01-02T03:04:05.000Z' };
    await startLane('several', state);
    assert.match(await refused(1, 'unquarantine', 'several', 'cccccccccccc'), /beginning of several digests/);
    assert.match(
      await refused(1, 'pin', 'several', 'production', 'eeeeeeeeeeee', '--reason', 'x'),
      /no digest that is known here/,
    );
    assert.match(await refused(1, 'pin', 'several', 'production', 'latest', '--reason', 'x'), /no digest that is known here/);
  });

  it('rollback names from and to and asks, where somebody sits at the terminal, unless told not to', async () => {
    const lane = laneWith('doubted');
    await startLane('doubted', lane);
    const asked: string[] = [];
    const rollback = (answer: boolean, ...more: string[]) =>
      landfallHere(['rollback', 'doubted', 'production', '--reason', 'slow', ...more], {
        ...{ cwd: folder, env: temporal.env },
        confirm: async (question) => {
          asked.push(question);
          return answer;
        },
      });
    const no = await rollback(false);
    assert.deepEqual([no.exitCode, no.stdout], [1, '']);
    assert.equal(no.stderr, 'doubted: production stays as it is: nothing was rolled back\n');
    assert.match(asked[0] ?? '', /^Roll doubted back in production, from \S+@sha256:b{64} to .+\?$/);
    const confirmed = () => temporal.client.workflow.getHandle(laneId('doubted')).query(saidQuery);
    assert.match((await rollback(true)).stdout, /^doubted: production is being rolled back/);
    assert.equal((await confirmed())?.digest, digestOf('b'), 'what was asked about, and nothing else');
    assert.match((await rollback(false, '--yes')).stdout, /^doubted: production is being rolled back/);
    assert.equal((await confirmed())?.digest, undefined);
    assert.equal(asked.length, 2);
  });

  it('rollback and promote name the workflow that does it, and rollback what it goes back to and what it waits for', async () => {
    const state = laneWith('undone');
    const { production } = state.stages;
    assert.ok(production !== undefined);
    Object.assign(production, { holder: 'rollout:undone:2.0.0:aaaaaaaaaaaa', begun: true });
    production.pin = { by: 'ann', at: '2026-01-02T03:04:05.000Z', digest: digestOf('b') };
    await startLane('undone', state);
    const { stdout } = await command('rollback', 'undone', 'production', '--reason', 'slow', '--as', 'ann');
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'undone: production is being rolled back (landfall show rollback:production:ann:slow:1) by ann (unverified)',
      `  from ghcr.io/team/app:1.0.0@${digestOf('b')}`,
      '  to ghcr.io/team/app:old',
      '  it waits for undone:2.0.0:aaaaaaaaaaaa, which is changing the stage: landfall show undone:2.0.0:aaaaaaaaaaaa',
      '  the pin of what is rolled back is released',
    ]);
    assert.equal(
      await said('promote', 'undone', 'production', 'bbbbbbbbbbbb', '--as', 'ann'),
      `undone: ${digestOf('b')} is being promoted to production (landfall show production:ann:bbbbbbbbbbbb) by ann (unverified)`,
    );
  });

  it('promote --wait waits for what it began, and not for what brought the digest here before', async () => {
    await startLane('again', laneWith('again'));
    const rollout = (status: string) =>
      temporal.client.workflow.start('rollout', {
        ...{ workflowId: 'rollout:production:ann:bbbbbbbbbbbb', taskQueue: taskQueues.lanes, args: [status] },
      });
    await (await rollout('delivered')).result();
    const promoted = command('promote', 'again', 'production', 'bbbbbbbbbbbb', '--as', 'ann', '--wait');
    const lane = temporal.client.workflow.getHandle(laneId('again'));
    await eventually('the promotion to be said', async () => (await lane.query(saidQuery)) !== undefined);
    await (await rollout('expired')).result();
    const { exitCode, stdout } = await promoted;
    assert.equal(exitCode, 1, stdout);
    assert.match(stdout, /● expired/);
    assert.doesNotMatch(stdout, /delivered/);
  });

  it('passes on why a lane refuses', async () => {
    const state = laneWith('refusing');
    state.stages.sealed = { turn: 0, waiters: [] };
    await startLane('refusing', state);
    const words = ['refusing', '--stage', 'sealed', '--reason', 'x'];
    assert.equal(await refused(1, 'hold', ...words), 'refused: sealed stays as it is');
  });

  it('passes on why a lane refuses that is only started to be asked', async () => {
    const words = ['sealed-app', '--stage', 'sealed', '--reason', 'x'];
    assert.equal(await refused(1, 'hold', ...words), 'refused: sealed stays as it is');
  });

  it('says so where nothing of the service was ever rolled out', async () => {
    for (const words of [
      ['lane', 'nobody'],
      ['release', 'nobody'],
      ['pin', 'nobody', 'production', digestOf('a'), '--reason', 'x'],
      ['unquarantine', 'nobody', digestOf('a')],
      ['rollback', 'nobody', 'production', '--reason', 'x'],
      ['promote', 'nobody', 'production', digestOf('a')],
    ]) {
      assert.match(await refused(1, ...words), /^nothing of a service 'nobody' has been rolled out yet/, words.join(' '));
    }
    assert.match(await refused(2, 'lane', 'no such name'), /expected the name of a service/);
  });

  it('takes a lane that was terminated for one that does not run', async () => {
    await startLane('dead', laneWith('dead'));
    await temporal.client.workflow.getHandle(laneId('dead')).terminate('test');
    assert.match(await refused(1, 'lane', 'dead'), /^nothing of a service 'dead' has been rolled out yet/);
  });

  it('hold --all holds all services, which the lanes tell, and release --all ends that', async () => {
    const globalHold = () => temporal.client.workflow.getHandle(globalHoldId).query<GlobalHoldState>(globalHoldQuery.name);
    assert.match(
      await said('hold', '--all', '--reason', 'incident'),
      /^all services are held by \w+ \(unverified\): nothing but rollbacks/,
    );
    assert.equal((await globalHold()).hold?.reason, 'incident');
    await startLane('stopped', laneWith('stopped'));
    assert.match((await command('lane', 'stopped')).stdout, /^all services are held by \w+ \d+\w* ago: incident$/m);
    assert.match(await said('release', '--all'), /^the global hold is over: released by/);
    assert.deepEqual(await globalHold(), {});
    assert.doesNotMatch((await command('lane', 'stopped')).stdout, /all services are held/);
  });

  it('lane shows what each stage runs, by which rollout, and what it ran before', async () => {
    await startLane('shown', laneWith('shown'));
    const { exitCode, stdout } = await command('lane', 'shown');
    assert.equal(exitCode, 0);
    const lines = stdout.split('\n');
    assert.match(lines.find((line) => line.startsWith('STAGE')) ?? '', /^STAGE +RUNS +SINCE +ROLLOUT +BEFORE$/);
    assert.match(stdout, /^staging +2\.0\.0 aaaaaaaaaaaa +\S+ ago +shown:2\.0\.0:aaaaaaaaaaaa +1\.0\.0 bbbbbbbbbbbb$/m);
    assert.match(
      stdout,
      /^production +1\.0\.0 bbbbbbbbbbbb +\S+ ago +shown:1\.0\.0:bbbbbbbbbbbb +ghcr\.io\/team\/app:old and 1 more$/m,
    );
    assert.ok(!stdout.includes('\u001b'), 'texts from elsewhere steer no terminal');
  });

  it('lane shows holds, pins, turns, what ran earlier, and the quarantine', async () => {
    const state = laneWith('kept');
    const word = { by: 'ann', at: '2026-01-02T03:04:05.000Z', reason: 'a \u001b[31mfair' };
    const { production } = state.stages;
    assert.ok(production?.running !== undefined);
    state.hold = word;
    production.pin = { ...word, digest: digestOf('b') };
    production.holder = 'rollout:kept:2.0.0:aaaaaaaaaaaa';
    production.waiters = ['rollout:kept:3.0.0:eeeeeeeeeeee'];
    production.earlier = [{ ...production.running, digest: digestOf('f'), until: word.at }];
    state.delivered = { production: [{ ...production.running, digest: digestOf('e'), at: word.at }] };
    await startLane('kept', state);
    const { stdout } = await command('lane', 'kept');
    for (const expected of [
      /^held by ann \S+ ago: a fair$/m,
      /^production:\n {2}stays on sha256:b{64} by ann \S+ ago: a fair$/m,
      /^ {2}kept:2\.0\.0:aaaaaaaaaaaa has its turn$/m,
      /^ {2}waiting: kept:3\.0\.0:eeeeeeeeeeee$/m,
      /^ {2}earlier: 1\.0\.0 ffffffffffff, until \S+ ago, by kept:1\.0\.0:bbbbbbbbbbbb$/m,
      /^ {2}once: 1\.0\.0 eeeeeeeeeeee, \S+ ago$/m,
      /^quarantine .*:\n {2}sha256:d{64} +\S+ ago +by ben +it was unhealthy$/m,
    ]) {
      assert.match(stdout, expected);
    }
  });

  it('lane as JSON is all that the lane knows, and the global hold', async () => {
    await startLane('json', laneWith('json'));
    const { stdout } = await command('lane', 'json', '--json');
    const { service, globalHold, ...lane } = JSON.parse(stdout) as LaneState & { service: string; globalHold: GlobalHoldState };
    assert.deepEqual([service, globalHold], ['json', {}]);
    assert.deepEqual(lane, JSON.parse(JSON.stringify(laneWith('json'))));
  });

  it('the command takes the name of the operator from LANDFALL_OPERATOR', async () => {
    await startLane('named', laneWith('named'));
    const env = { ...temporal.env, LANDFALL_OPERATOR: 'ann' };
    const { stdout } = await landfall(['hold', 'named', '--reason', 'x'], { cwd: folder, env });
    assert.equal(stdout, 'named: all stages held by ann (unverified)\n');
    assert.equal((await laneOf('named')).hold?.by, 'ann');
  });

  it('says what to do where the lane runs and no worker answers', async () => {
    const options = { ...laneStartOptions('orphan'), taskQueue: 'nobody-works-here' };
    await temporal.client.workflow.start('lane', options);
    assert.match(await refused(3, 'lane', 'orphan'), /no worker answered in time: start Landfall/);
  });
});

function digestOf(fill: string): Digest {
  return `sha256:${fill.repeat(64)}` as Digest;
}

/** Staging runs `aaa…`, production `bbb…`; `ddd…` is in quarantine. */
function laneWith(service: string): LaneState {
  const repository = 'ghcr.io/team/app' as Repository;
  const before = { running: [], image: { repository, tag: '1.0.0' as Tag, digest: digestOf('b') } };
  const old = { name: 'web', reference: 'ghcr.io/team/app:old' };
  const first = { running: [old, { ...old, name: 'worker' }] };
  return {
    ...emptyLane(),
    quarantine: { [digestOf('d')]: { reason: 'it was\n\u001b[31munhealthy', by: 'ben', at: '2026-01-02T03:04:05.000Z' } },
    stages: {
      staging: { turn: 1, waiters: [], running: runningOf(service, '2.0.0', digestOf('a'), before) },
      production: { turn: 2, waiters: [], running: runningOf(service, '1.0.0', digestOf('b'), first) },
    },
  };
}

const configuration = `
services:
  - image: ghcr.io/team/app
  - image: ghcr.io/team/other
  - image: ghcr.io/team/sealed-app
    name: sealed-app
    stages: [{ name: sealed }]
  - image: ghcr.io/web/*
    name: web-*
    stages: [{ name: staging }, { name: production }]
`;
