import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { msToTs } from '@temporalio/common/lib/time.js';
import { createDecisions } from '../../src/activities/decisions.ts';
import { run } from '../../src/cli/main.ts';
import { rolloutId, rolloutStartOptions } from '../../src/contracts/start-options.ts';
import { hashOfToken, isProofOf, provenTrigger } from '../../src/domain/decision-proof.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import type { Plan } from '../../src/domain/plan.ts';
import type { Decision, RolloutState } from '../../src/domain/rollout-state.ts';
import { followRollouts, type RolloutRow } from '../../src/operations/index.ts';
import { product } from '../../src/product.ts';
import { keyFile, keyFileText } from '../../src/settings/seal-key.ts';
import { runActivity } from '../support/activity.ts';
import { startNamespace, type TestNamespace, testKey } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { runWorkers, type TestWorkers } from '../support/worker.ts';
import { landfall, landfallHere, type Ran } from './command.ts';
import { standInRollouts } from './stand-ins.ts';

const operator = userInfo().username;

describe('the landfall command with a running Temporal', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-cli-'));
    await writeFile(join(folder, 'landfall.yaml'), configuration);
    temporal = await startNamespace();
    const activities = { smoke: () => Promise.reject(new Error('the \u001b[31mdaemon is away')) };
    workers = await runWorkers(temporal, [{ ...standInRollouts, activities }]);
  });

  after(async () => {
    await workers?.stop();
    await temporal?.stop();
    await rm(folder, { recursive: true });
  });

  const command = (words: readonly string[], env: Record<string, string> = temporal.env): Promise<Ran> =>
    landfallHere(words, { cwd: folder, env });

  /** A blocked rollout of its own, so that no test meets another's. */
  async function blockedRollout(service: string, fill = 'a', status = 'blocked'): Promise<string> {
    const image = { repository, tag: 'latest' as Tag, digest: digestOf(fill) };
    const push = { source: 'test', deliveryId: 'd1', repository, tag: image.tag, receivedAt: new Date().toISOString() };
    await temporal.client.workflow.start('rollout', rolloutStartOptions({ plan: planNamed(service), image, push }));
    const id = rolloutId(service, image);
    // The first answer comes from the worker, so the columns are on their way by then; lists may lag behind a little more.
    await temporal.client.workflow.getHandle(id).query<RolloutState>('state');
    await listed(id, status);
    return id;
  }

  /** What Landfall leaves in its data folder for whoever looks for its server, which is the one with the mark. */
  async function writeState(mark: string): Promise<void> {
    const { address, namespace } = temporal;
    const state = { address, namespace, uiUrl: 'http://127.0.0.1:1', pid: 1, mark };
    await writeFile(join(folder, 'data', 'temporal.json'), JSON.stringify(state));
    await writeFile(join(folder, 'data', keyFile), keyFileText(testKey));
  }

  async function listed(id: string, status = 'blocked'): Promise<void> {
    const query = `WorkflowId = '${id}' AND LandfallStatus = '${status}'`;
    const deadline = Date.now() + 10_000;
    while ((await temporal.client.workflow.count(query)).count === 0) {
      assert.ok(Date.now() < deadline, `${id} is not listed as ${status}`);
    }
  }

  it('lists rollouts by service and status, with the reason', async () => {
    const id = await blockedRollout('listed');
    await blockedRollout('listed-not');
    const { exitCode, stdout } = await command(['list', '--service', 'listed', '--status', 'blocked', '--json']);
    assert.equal(exitCode, 0);
    const rows = JSON.parse(stdout) as RolloutRow[];
    assert.deepEqual(
      rows.map(({ rollout, service, status }) => ({ rollout, service, status })),
      [{ rollout: id, service: 'listed', status: 'blocked' }],
    );
    assert.equal(rows[0]?.image, `${repository}:latest`);
    assert.equal(rows[0]?.reason, 'asked: false, by: undefined, proof: undefined, actor: undefined');
  });

  it('prints a plain, aligned table where the output is no terminal', async () => {
    const id = await blockedRollout('tabled');
    const env = temporal.env;
    const { stdout } = await landfall(['list', '--service', 'tabled'], { cwd: folder, env });
    const [header = '', row = '', ...rest] = stdout.trimEnd().split('\n');
    assert.deepEqual(rest, []);
    assert.equal(row.indexOf('blocked'), header.indexOf('STATUS'));
    assert.ok(row.startsWith(id.replace('rollout:', '')));
    assert.ok(!stdout.includes('\u001b'));
  });

  it('lists the newest run of a rollout, and the earlier ones where asked', async () => {
    const id = await blockedRollout('again');
    await command(['reject', id, 'scan']);
    await temporal.client.workflow.getHandle(id).result();
    await listed(id, 'rejected');
    await blockedRollout('again');
    const statuses = async (...more: string[]) =>
      (JSON.parse((await command(['list', '--service', 'again', '--json', ...more])).stdout) as RolloutRow[]).map(
        ({ rollout, status }) => `${rollout} ${status}`,
      );
    assert.deepEqual(await statuses(), [`${id} blocked`]);
    assert.deepEqual(await statuses('--all-runs'), [`${id} blocked`, `${id} rejected`]);
  });

  it('lists no more than asked for', async () => {
    await blockedRollout('many', 'a');
    await blockedRollout('many', 'b');
    const { stdout } = await command(['list', '--service', 'many', '--limit', '1', '--json']);
    assert.equal((JSON.parse(stdout) as RolloutRow[]).length, 1);
  });

  it('shows a rollout that was terminated from outside as terminated, not as what it last said', async () => {
    const id = await blockedRollout('terminated');
    await temporal.client.workflow.getHandle(id).terminate('test');
    const query = `WorkflowId = '${id}' AND ExecutionStatus = 'Terminated'`;
    const deadline = Date.now() + 10_000;
    while ((await temporal.client.workflow.count(query)).count === 0) assert.ok(Date.now() < deadline);
    const all = JSON.parse((await command(['list', '--service', 'terminated', '--json'])).stdout) as RolloutRow[];
    assert.deepEqual(
      all.map(({ status }) => status),
      ['terminated'],
    );
    const blocked = JSON.parse((await command(['list', '--service', 'terminated', '--status', 'blocked', '--json'])).stdout);
    assert.deepEqual(blocked, []);
    const shown = (await command(['show', id])).stdout;
    assert.match(shown, /^status +terminated/m);
    assert.ok(!shown.includes('what can be done'));
  });

  it('shows steps with durations, findings and log of blocked steps, the proposal, and what can be done', async () => {
    const id = await blockedRollout('shown');
    const { exitCode, stdout } = await command(['show', 'shown']);
    assert.equal(exitCode, 0);
    assert.match(stdout, /^ +verify +passed +2s$/m);
    assert.match(stdout, /^ +scan +blocked .*1 critical finding$/m);
    assert.match(stdout, /critical +CVE-2021-44906 +minimist 1\.2\.5 +fixed in 1\.2\.6/);
    assert.match(stdout, /exit code 3\n +\| starting\n +\| no database, giving up\n/);
    assert.match(stdout, /proposal +staging: https:\/\/forge\.example\/pull\/7/);
    const short = id.replace('rollout:', '');
    for (const next of [
      `landfall retry ${short} scan`,
      `landfall skip ${short} smoke --reason TEXT`,
      `landfall abort ${short}`,
    ]) {
      assert.ok(stdout.includes(next), `${next} in:\n${stdout}`);
    }
  });

  it('shows the state as JSON', async () => {
    const id = await blockedRollout('shown-json');
    const state = JSON.parse((await command(['show', id, '--json'])).stdout) as RolloutState & {
      rollout: string;
      execution: string;
    };
    assert.equal(state.rollout, id);
    assert.equal(state.execution, 'running');
    assert.equal(state.steps.length, 4);
  });

  it('shows of a step that is tried again how often, and what went wrong', async () => {
    const id = await blockedRollout('retried');
    const handle = temporal.client.workflow.getHandle(id);
    await eventually(
      'the step to be tried again',
      async () => (await handle.describe()).raw.pendingActivities?.[0]?.attempt === 2,
    );
    const { stdout } = await command(['show', id]);
    assert.match(stdout, /^ +smoke +running .*attempt 2: the daemon is away$/m);
    const { retries } = JSON.parse((await command(['show', id, '--json'])).stdout) as { retries: { step: string }[] };
    assert.deepEqual(
      retries.map(({ step }) => step),
      ['smoke'],
    );
    const followed = followRollouts(temporal.client, ['rollout:none', id], { deadlineMs: 0, seen: () => undefined });
    await assert.rejects(
      followed,
      /within 0 s, found rollout:none not started, rollout:\S+ blocked at smoke \(attempt \d+: the .*daemon is away\)$/,
    );
  });

  it('shows of a step that no worker takes what it waits for', async () => {
    const id = await blockedRollout('stranded');
    const show = async () => (await command(['show', id])).stdout;
    await eventually('it to be said', async () => (await show()).includes('no worker'));
    assert.match(await show(), /^ +production ▸ deploy +running .*no worker has taken it yet: .*LANDFALL_HOSTS/m);
  });

  for (const [verb, status] of [
    ['retry', 'proposed'],
    ['skip', 'proposed'],
    ['reject', 'rejected'],
  ] as const) {
    it(`${verb} reaches the step of the stage, with reason and operator`, async () => {
      const id = await blockedRollout(`decided-${verb}`);
      const { exitCode, stdout } = await command([
        verb,
        `decided-${verb}:lat`,
        'scan',
        '--stage',
        'staging',
        '--reason',
        'known',
      ]);
      assert.equal(exitCode, 0, stdout);
      assert.match(
        stdout,
        new RegExp(`^decided-${verb}:\\S+: scan \\w+ by ${operator} \\(unverified\\)\nnow ${status}: ${verb} staging`),
      );
      const state = (await temporal.client.workflow.getHandle(id).result()) as RolloutState;
      assert.equal(state.reason, `${verb} staging scan known by ${operator}`);
      assert.equal(state.status, status);
    });
  }

  it('retry --with-new-configuration has it begin anew', async () => {
    const id = await blockedRollout('decided-renew');
    const { stdout } = await command(['retry', id, 'scan', '--with-new-configuration', '--reason', 'corrected']);
    assert.match(stdout, /: scan begun anew by .*\nnow aborted: renew scan corrected/);
  });

  it('show says until when an approval is waited for, who has given one, what was skipped, and how to give one', async () => {
    const id = await blockedRollout('asking-shown', 'a', 'waiting');
    const { stdout } = await command(['show', id]);
    assert.match(stdout, /^approved +production: ben by a review, 2026-01-02T03:04:05\.000Z$/m);
    assert.match(stdout, /^skipped +2026-01-02T03:04:05\.000Z: scan skipped by ben: not reachable$/m);
    assert.match(stdout, /^ +production ▸ approve +waiting .* waits for 1 of ann, cleo to approve, until 2026-01-03/m);
    const short = id.replace('rollout:', '');
    assert.ok(stdout.includes(`\n  landfall approve ${short} --stage production\n`), stdout);
    assert.ok(stdout.includes(`\n  landfall reject ${short} approve --stage production\n`), stdout);
  });

  it('show tells the readings of what is unhealthy, and lets a person’s merge be rejected', async () => {
    const id = await blockedRollout('unhealthy');
    const { stdout } = await command(['show', id]);
    assert.match(stdout, /production ▸ rollback is blocked \(Unhealthy\):\n +3 of 9 readings failed, slowest 2s\n/);
    assert.match(stdout, / 2026-01-02T03:04:05\.000Z +unhealthy +http https:\/\/x\/health answered 503\n +\| no database\n/);
    assert.match(stdout, /UnhealthyBefore\):\n +before the change:\n .*answered 500\n +after it:\n +3 of 9/);
    assert.ok(!stdout.includes('\u001b'));
    const short = id.replace('rollout:', '');
    for (const next of [`reject ${short} merge --stage staging`, `skip ${short} watch --stage production --reason TEXT`]) {
      assert.ok(stdout.includes(`landfall ${next}\n`), `${next} in:\n${stdout}`);
    }
    assert.ok(stdout.includes(`landfall retry ${short} deploy --stage canary\n`), stdout);
    assert.ok(!stdout.includes(`landfall skip ${short} deploy`), 'a deploy cannot be skipped');
  });

  describe('approve', () => {
    const token = `the token of ann, ${'a'.repeat(32)}`;
    /** What reached the rollout, and the run that it was said to. */
    async function approved(service: string, words: readonly string[], env: Record<string, string>) {
      const id = await blockedRollout(service, 'a', 'waiting');
      const handle = temporal.client.workflow.getHandle(id);
      const { runId } = await handle.describe();
      const { exitCode, stdout, stderr } = await command(['approve', id, ...words], {
        ...temporal.env,
        ...env,
      });
      assert.equal(exitCode, 0, stderr);
      const { reason } = (await handle.result()) as RolloutState;
      return { id, runId, stdout, decision: JSON.parse(reason ?? '') as Decision };
    }

    it('names the digest and the head that are approved, and says that nothing proves who did', async () => {
      const { id, stdout, decision } = await approved('asking-plain', ['--stage', 'production', '--reason', 'seen'], {});
      assert.deepEqual(decision, { stage: 'production', reason: 'seen', digest: digestOf('a'), head: 'def', by: operator });
      const said = `${id.replace('rollout:', '')}: ${digestOf('a')} approved by ${operator} (unverified)`;
      assert.deepEqual(stdout.split('\n').slice(0, 2), [said, '  scan skipped by ben: not reachable']);
    });

    it('proves to the worker who approved this very run, with LANDFALL_TOKEN', async () => {
      const words = ['--as', 'ann', '--reason', 'seen'];
      const { id, runId, stdout, decision } = await approved('asking-ann', words, { LANDFALL_TOKEN: token });
      assert.equal(decision.head, 'def');
      assert.equal(decision.earlier, 3);
      const hash = await hashOfToken(token);
      const operators = [{ name: 'ann', token: 'env:ANN_TOKEN_HASH', roles: ['approve'] }] as const;
      const { whoDecided } = createDecisions({ operators, secrets: () => hash, vouchKey: async () => hash });
      const input = { rollout: id, runId, verb: 'approve', decision };
      assert.deepEqual(await runActivity(whoDecided, input), { by: 'ann', verified: true, operator: 'ann' });
      await assert.rejects(runActivity(whoDecided, { ...input, runId: 'another' }), { type: 'DecisionRefused' });
      const later = { ...input, decision: { ...decision, earlier: 4 } };
      await assert.rejects(runActivity(whoDecided, later), { type: 'DecisionRefused' });
      const elsewhere = { ...input, decision: { ...decision, head: 'abc' } };
      await assert.rejects(runActivity(whoDecided, elsewhere), { type: 'DecisionRefused' });
      assert.match(stdout, / approved by ann\n/);
      assert.ok(!JSON.stringify(decision).includes(token));
      assert.ok(!JSON.stringify(decision).includes(hash.slice('sha256:'.length)));
    });

    it('takes the name of the operator from --as before any other', async () => {
      const id = await blockedRollout('asking-as', 'a', 'waiting');
      const env = { ...temporal.env, LANDFALL_OPERATOR: 'ann' };
      const { stdout } = await landfall(['approve', id, '--as', 'ben'], { cwd: folder, env });
      assert.match(stdout, / approved by ben \(unverified\)\n/);
      const { reason } = (await temporal.client.workflow.getHandle(id).result()) as RolloutState;
      assert.equal((JSON.parse(reason ?? '') as Decision).by, 'ben');
    });

    it('refuses a token that is too short to be one, before it says anything to anybody', async () => {
      const id = await blockedRollout('asking-short', 'a', 'waiting');
      const { exitCode, stderr } = await command(['approve', id], {
        ...temporal.env,
        LANDFALL_TOKEN: 'hunter2',
      });
      assert.equal(exitCode, 2);
      assert.match(stderr, /at least 32 characters in LANDFALL_TOKEN .*, found 7/);
      assert.ok(!stderr.includes('hunter2'));
      assert.equal((await temporal.client.workflow.getHandle(id).describe()).status.name, 'RUNNING');
    });

    it('says how a rollout ended that is approved too late', async () => {
      const id = await blockedRollout('asking-late', 'a', 'waiting');
      await command(['abort', id]);
      await temporal.client.workflow.getHandle(id).result();
      const { exitCode, stderr } = await command(['approve', id]);
      assert.equal(exitCode, 1);
      assert.match(stderr, /has ended: aborted/);
    });
  });

  it('shows, lists and decides about a rollback that an operator asked for as about a rollout', async () => {
    const image = { repository, tag: 'latest' as Tag, digest: digestOf('a') };
    const push = { source: 'test', deliveryId: 'd1', repository, tag: image.tag, receivedAt: new Date().toISOString() };
    const options = rolloutStartOptions({ plan: planNamed('undone'), image, push });
    const id = 'rollback:undone:production:3';
    await temporal.client.workflow.start('rollback', { ...options, workflowId: id });
    await listed(id);
    const { stdout } = await command(['show', id]);
    assert.match(stdout, new RegExp(`^rollout +${id}$`, 'm'));
    assert.doesNotMatch(stdout, /landfall\.yaml/, 'it goes by the plan that brought the image');
    assert.match((await command(['list', '--service', 'undone'])).stdout, new RegExp(`^${id} +blocked`, 'm'));
    assert.equal((await command(['retry', 'rollback:undone', 'scan'])).exitCode, 0);
    assert.equal(((await temporal.client.workflow.getHandle(id).result()) as RolloutState).status, 'proposed');
  });

  it('a decision as JSON is the state that it led to, not the one before', async () => {
    const id = await blockedRollout('decided-json');
    const { stdout } = await command(['retry', id, 'scan', '--json']);
    assert.equal((JSON.parse(stdout) as RolloutState).status, 'proposed');
  });

  it('abort asks first where somebody sits at the terminal, unless told not to', async () => {
    const id = await blockedRollout('asked');
    const asked: string[] = [];
    const env = temporal.env;
    const warned: string[] = [];
    const abort = (answer: boolean, ...more: string[]) =>
      run(['abort', id, ...more], {
        loadKinds: async () => product,
        startLocalWork: () => assert.fail('no work'),
        startService: () => assert.fail('no service'),
        diagnoseOutside: () => assert.fail('nothing outside'),
        withRegistry: () => assert.fail('no registry'),
        reachApi: () => assert.fail('no API'),
        command: 'landfall',
        env,
        operator,
        print: () => undefined,
        warn: (line) => warned.push(line),
        confirm: async (question) => {
          asked.push(question);
          return answer;
        },
      });
    assert.equal(await abort(false), 1);
    assert.match(asked[0] ?? '', /^Abort asked:latest:a+, wherever it is\?$/);
    assert.match(warned[0] ?? '', /nothing was aborted/);
    assert.equal((await temporal.client.workflow.getHandle(id).describe()).status.name, 'RUNNING');
    assert.equal(await abort(false, '--yes'), 0);
    assert.equal(asked.length, 1);
  });

  it('abort ends the rollout, and show tells the end from the result', async () => {
    const id = await blockedRollout('aborted');
    assert.equal((await command(['abort', id, '--reason', 'wrong build'])).exitCode, 0);
    await temporal.client.workflow.getHandle(id).result();
    const { stdout } = await command(['show', id]);
    assert.match(stdout, new RegExp(`^status +aborted: abort wrong build by ${operator}$`, 'm'));
    assert.ok(!stdout.includes('what can be done'));
  });

  it('says why a decision was refused, and exits 1', async () => {
    const id = await blockedRollout('refused');
    const { exitCode, stderr } = await command(['reject', id, 'verify']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /refused: verify does not wait for a decision/);
  });

  it('says how a rollout ended that is decided about too late', async () => {
    const id = await blockedRollout('ended');
    await command(['abort', id]);
    await temporal.client.workflow.getHandle(id).result();
    const { exitCode, stderr } = await command(['retry', id]);
    assert.equal(exitCode, 1);
    assert.equal(stderr, `${id.replace('rollout:', '')} has ended: aborted (abort by ${operator})\n`);
  });

  it('shows of a service its newest rollout, and decides about the only one that waits for that', async () => {
    const ended = await blockedRollout('several', 'a');
    await command(['abort', ended, '--yes']);
    await temporal.client.workflow.getHandle(ended).result();
    await listed(ended, 'aborted');
    const blocked = await blockedRollout('several', 'b');
    const newest = await blockedRollout('several', 'c');
    assert.match((await command(['show', 'several'])).stdout, new RegExp(`^rollout +${newest}$`, 'm'));
    const both = await command(['retry', 'several', 'scan']);
    assert.equal(both.exitCode, 1);
    assert.match(
      both.stderr,
      /^'several' is the beginning of several rollouts; name one of them:\n( {2}several:\S+ {2}blocked since \S+\n){2}$/,
    );
    await command(['abort', newest, '--yes']);
    await temporal.client.workflow.getHandle(newest).result();
    await listed(newest, 'aborted');
    const retried = await command(['retry', 'several', 'scan']);
    assert.equal(retried.exitCode, 0, retried.stderr);
    assert.ok(retried.stdout.startsWith(`${blocked.replace('rollout:', '')}: scan retried by`), retried.stdout);
    await temporal.client.workflow.getHandle(blocked).result();
    await listed(blocked, 'proposed');
    assert.match((await command(['retry', 'several'])).stderr, /^several:latest:c+ has ended: aborted/);
  });

  it('says what there is where a decision fits none of several rollouts', async () => {
    await blockedRollout('unfit', 'a');
    await blockedRollout('unfit', 'b');
    const { exitCode, stderr } = await command(['approve', 'unfit']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^approve: no rollout of unfit waits for that; there are:\n( {2}unfit:\S+ {2}blocked since \S+\n){2}$/);
  });

  it('lists the step that a rollout is at, and what it waits for, since when', async () => {
    const id = await blockedRollout('asking-listed', 'a', 'waiting');
    const { stdout } = await command(['list', '--service', 'asking-listed']);
    assert.match(stdout, /^asking-listed:latest:a{12} +waiting +approve \(production\) +\d+m?s ago +asked: false/m);
    const [row] = JSON.parse((await command(['list', '--service', 'asking-listed', '--json'])).stdout) as RolloutRow[];
    assert.deepEqual(
      { ...row, reason: undefined, runId: undefined },
      {
        ...{ rollout: id, runId: undefined, service: 'asking-listed', image: `${repository}:latest`, digest: digestOf('a') },
        ...{ status: 'waiting', stage: 'production', step: 'approve', reason: undefined },
        ...{ startedAt: row?.startedAt, changedAt: row?.changedAt, since: row?.changedAt },
      },
    );
  });

  it('show --watch tells each step in the time of the rollout, until it has ended or is blocked, and then shows it', async () => {
    await blockedRollout('watched');
    const { exitCode, stdout } = await command(['show', 'watched', '--watch']);
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      /^ +1\.5 s {2}watched ✔ verify passed \(1\.5 s\)\n +0\.0 s {2}watched ✘ scan blocked: 1 critical finding\n/,
    );
    assert.match(stdout, /\n +\d\.\d s {2}watched ■ blocked: asked: .*\n\nrollout +rollout:watched:latest:a{12}\n/);
  });

  it('show --watch does not wait for what is not there', async () => {
    const { exitCode, stderr } = await command(['show', 'watched:latest:0123456789ab', '--watch']);
    assert.deepEqual([exitCode, stderr], [1, 'there is no such rollout: landfall list shows what there is\n']);
  });

  it('decisions wait with --wait for what came of them, and say it by the exit code too', async () => {
    const retried = await blockedRollout('awaited', 'a');
    const well = await command(['retry', retried, 'scan', '--wait']);
    assert.equal(well.exitCode, 0, well.stderr);
    assert.match(well.stdout, /: scan retried by .*\n.* awaited ● proposed: retry scan by .*\nnow proposed: retry scan by /s);
    assert.equal((await command(['abort', await blockedRollout('awaited', 'b'), '--yes', '--wait'])).exitCode, 0);
    const badly = await command(['trigger', `ghcr.io/team/app:latest@${digestOf('e')}`, '--wait']);
    assert.equal(badly.exitCode, 1);
    assert.match(badly.stdout, /^app: started: landfall show app:latest:e+\n.* app +■ blocked: /s);
    const late = await command(['approve', await blockedRollout('asking-awaited', 'a', 'waiting'), '--timeout', 'soon']);
    assert.equal(late.exitCode, 2);
    assert.match(late.stderr, /--timeout: expected a duration such as 30m, found 'soon'/);
  });

  it('lists the candidates of an ambiguous prefix and exits 1', async () => {
    const ids = [await blockedRollout('twin-a'), await blockedRollout('twin-b')];
    const { exitCode, stderr } = await command(['retry', 'rollout:twin']);
    assert.equal(exitCode, 1);
    for (const id of ids) assert.ok(stderr.includes(id.replace('rollout:', '')), stderr);
  });

  it('says so where no rollout has the prefix', async () => {
    const { exitCode, stderr } = await command(['show', 'nothing-of-the-kind']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /no rollout begins with 'nothing-of-the-kind'/);
  });

  it('takes _ in a prefix as itself, not as any character', async () => {
    await blockedRollout('under-score');
    const { exitCode, stderr } = await command(['show', 'under_score']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /no rollout begins with 'under_score'/);
  });

  it('says that there is no rollout of a whole id that never was', async () => {
    const { exitCode, stderr } = await command(['retry', 'nobody:latest:aaaaaaaaaaaa']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /there is no such rollout/);
  });

  it('trigger with a digest starts the rollout, asked for by the operator', async () => {
    const digest = digestOf('c');
    const { exitCode, stdout, stderr } = await command(['trigger', `ghcr.io/team/app:latest@${digest}`]);
    assert.equal(exitCode, 0, stderr);
    const id = rolloutId('app', { tag: 'latest' as Tag, digest });
    assert.ok(stdout.includes(id.replace('rollout:', '')));
    const state = await temporal.client.workflow.getHandle(id).query<RolloutState>('state');
    assert.equal(state.reason, `asked: true, by: ${operator}, proof: undefined, actor: undefined`);
    assert.deepEqual(state.image, { repository: 'ghcr.io/team/app', tag: 'latest', digest });
    const token = `the token of ann, ${'a'.repeat(32)}`;
    const named = digestOf('d');
    const proven = await command(['trigger', `ghcr.io/team/app:latest@${named}`], {
      ...{ ...temporal.env, LANDFALL_TOKEN: token },
    });
    assert.equal(proven.exitCode, 0, proven.stderr);
    const handle = temporal.client.workflow.getHandle(rolloutId('app', { tag: 'latest' as Tag, digest: named }));
    const { reason = '', startedAt } = await handle.query<RolloutState>('state');
    const [, proof = ''] = /^asked: true, by: \S+, proof: ([0-9a-f]{64}), actor: undefined$/.exec(reason) ?? [];
    const deliveryId = String((await handle.describe()).memo?.deliveryId);
    const push = { repository: repository as Repository, tag: 'latest' as Tag, deliveryId, receivedAt: startedAt };
    const said = { ...provenTrigger('app', push), by: operator, digest: named };
    assert.equal(await isProofOf(await hashOfToken(token), said, proof), true);
    const elsewhere = { ...provenTrigger('app', { ...push, deliveryId: 'another' }), by: operator, digest: named };
    assert.equal(await isProofOf(await hashOfToken(token), elsewhere, proof), false);
    const again = await command(['trigger', `ghcr.io/team/app:latest@${digest}`]);
    assert.equal(again.stdout, `app: was running already, and goes on: landfall show ${id.replace('rollout:', '')}\n`);
  });

  it('finds a running embedded server by the state file in the data folder', async () => {
    await mkdir(join(folder, 'data'), { recursive: true });
    await temporal.client.workflowService.registerNamespace({
      namespace: 'landfall-folder-own',
      workflowExecutionRetentionPeriod: msToTs('24h'),
    });
    await writeState('landfall-folder-own');
    const id = await blockedRollout('embedded');
    const { exitCode, stdout } = await eventually('the namespace to be known', async () => {
      const ran = await command(['list', '--service', 'embedded', '--json'], {});
      return ran.exitCode === 0 && ran;
    });
    assert.equal(exitCode, 0);
    assert.deepEqual(
      (JSON.parse(stdout) as RolloutRow[]).map(({ rollout }) => rollout),
      [id],
    );
  });

  it('says nothing to a server that answers in the place of that of the data folder', async () => {
    await mkdir(join(folder, 'data'), { recursive: true });
    await writeState('landfall-folder-another');
    const id = await blockedRollout('elsewhere');
    const { exitCode, stderr } = await command(['abort', id, '--reason', 'not ours'], {});
    assert.equal(exitCode, 3);
    assert.match(stderr, /expected the Temporal server of .*temporal\.json at 127\.0\.0\.1:\d+, found another one there/);
    const { status } = await temporal.client.workflow.getHandle(id).query<RolloutState>('state');
    assert.equal(status, 'blocked');
  });

  it('finds a cluster by the temporal: section, also of a file that is wrong elsewhere', async () => {
    const file = join(folder, 'cluster.yaml');
    await writeFile(file, `temporal: { address: "${temporal.address}" }\nservices: [{ image: UPPER/case }]\n`);
    const list = ['list', '--config', file, '--service', 'nobody'];
    const { exitCode, stderr } = await command(list, { LANDFALL_KEY: testKey });
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, new RegExp(`^no such rollouts in Temporal at ${temporal.address}, .*landfall list shows all\n$`));
    const without = await command(list, {});
    assert.equal(without.exitCode, 1);
    assert.match(without.stderr, /expected Landfall's key as temporal\.key .*: it is the same in every process and command/);
  });

  it('says what to do where a rollout exists and no worker answers', async () => {
    const image = { repository, tag: 'latest' as Tag, digest: digestOf('d') };
    const push = { source: 'test', deliveryId: 'd1', repository, tag: image.tag, receivedAt: new Date().toISOString() };
    const options = rolloutStartOptions({ plan: planNamed('orphan'), image, push });
    await temporal.client.workflow.start('rollout', { ...options, taskQueue: 'nobody-works-here' });
    const { exitCode, stderr } = await command(['show', rolloutId('orphan', image)]);
    assert.equal(exitCode, 3);
    assert.match(stderr, /no worker answered in time: start Landfall/);
    const launcher = fileURLToPath(new URL('../../bin/landfall.mjs', import.meta.url));
    const watching = spawn(process.execPath, [launcher, 'show', rolloutId('orphan', image), '--watch'], {
      ...{ cwd: folder, env: { PATH: process.env.PATH, ...temporal.env } },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    for await (const chunk of watching.stderr) {
      said += String(chunk);
      if (said.includes('as soon as')) watching.kill();
    }
    assert.match(
      said,
      /no worker answered in time: start Landfall.*\nrollout:orphan:\S+ is followed as soon as somebody answers\.\n$/,
    );
  });
});

const repository = 'ghcr.io/team/app' as Repository;

function digestOf(fill: string): Digest {
  return `sha256:${fill.repeat(64)}` as Digest;
}

function planNamed(service: string): Plan {
  return {
    service,
    repository,
    tags: { kind: 'exact', tags: ['latest' as Tag] },
    platforms: [],
    checks: [],
    stages: [],
    decideWithinMs: 1,
  };
}

/** Its secret is not there, which is no business of an operator's shell. */
const configuration = `
receivers: { distribution: { token: env:NOT_IN_THE_OPERATORS_SHELL } }
services:
  - image: ghcr.io/team/app
  - image: ghcr.io/team/other
`;
