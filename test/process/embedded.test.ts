import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { hashOfToken } from '../../src/domain/decision-proof.ts';
import type { RolloutRow } from '../../src/operations/index.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { identify } from '../../src/platform/processes/identity.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { keyFile } from '../../src/settings/seal-key.ts';
import { landfallHere } from '../cli/command.ts';
import { startLandfall } from '../support/landfall.ts';
import { eventually } from '../support/wait.ts';

const annsToken = `landfall_${'a'.repeat(40)}`;
const digest = `sha256:${'a'.repeat(64)}`;

describe('Landfall with a Temporal of its own', function () {
  this.timeout(120_000);
  let home: string;
  let both: readonly Awaited<ReturnType<typeof start>>[];
  let proxy: Server;
  let proxied = 0;
  const killed = new Set<number>();

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'landfall-embedded-'));
    proxy = createServer((socket) => {
      proxied += 1;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const address = proxy.address();
    assert.ok(address !== null && typeof address === 'object');
    const dropIn = { GITHUB_OIDC_AUDIENCE: 'here', GITHUB_ALLOWED_ORG: 'team', ALLOWED_IMAGE_PREFIX: 'ghcr.io/team/' };
    const env = { http_proxy: `http://127.0.0.1:${address.port}`, ...dropIn };
    const starting = Promise.all(['one', 'two'].map((name) => start(name, env)));
    [both] = await Promise.all([starting, killServersOf('two', 2)]);
  });
  after(async () => {
    await Promise.all((both ?? []).map(({ landfall }) => landfall.stop()));
    proxy.close();
    await rm(home, { recursive: true, force: true });
  });

  /** As soon as they run, which is before they serve. */
  async function killServersOf(name: string, times: number): Promise<void> {
    while (killed.size < times) {
      const { pid } = await eventually('the next server', async () => {
        const found = await stateOf(name).catch(() => undefined);
        return found !== undefined && !killed.has(found.pid) && found;
      });
      killed.add(pid);
      process.kill(pid, 'SIGKILL');
    }
  }

  /** Starts one with a data folder of its own and one service, named as the folder, whose registry never answers. */
  async function start(name: string, env: Readonly<Record<string, string>> = {}) {
    const folder = join(home, name);
    const ports = { webhooks: await reservePort(), operators: await reservePort() };
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, 'landfall.yaml'),
      `
listen: { webhooks: "127.0.0.1:${ports.webhooks}", operators: "127.0.0.1:${ports.operators}" }
receivers: { distribution: { token: env:HOOK_TOKEN } }
search: off
services: [{ name: ${name}, image: "127.0.0.1:1/team/app", tags: [latest], smoke: off, scan: off }]
`,
    );
    const ANN = await hashOfToken(annsToken);
    const landfall = await startLandfall(folder, { TEMPORAL_ADDRESS: '', HOOK_TOKEN: 'token', NEW_TOKEN: 'new', ANN, ...env });
    const push = (repository = 'team/app', token = 'token') =>
      fetch(`http://127.0.0.1:${ports.webhooks}/webhook/distribution`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ events: [{ ...pushed, target: { ...pushed.target, repository } }] }),
      });
    const operators = `http://127.0.0.1:${ports.operators}`;
    const figures = async () => await (await fetch(`${operators}/metrics`)).text();
    return { name, file: join(folder, 'landfall.yaml'), landfall, push, operators, figures };
  }

  async function stateOf(name: string): Promise<{ address: string; pid: number }> {
    return JSON.parse(await readFile(join(home, name, 'data', 'temporal.json'), 'utf8'));
  }

  /** The rollouts that the Temporal of a folder has, and the processes that worked on them. */
  async function workOf(name: string): Promise<{ rollouts: string[]; workers: string[] }> {
    const { address } = await stateOf(name);
    const connection = await Connection.connect({ address, connectTimeout: '20s' });
    try {
      const client = new Client({ connection });
      const rollouts: string[] = [];
      const workers = new Set<string>();
      for await (const { workflowId } of client.workflow.list({ query: "WorkflowType = 'rollout'" })) {
        rollouts.push(workflowId);
        const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
        for (const event of events ?? [])
          if (event.workflowTaskCompletedEventAttributes) workers.add(event.workflowTaskCompletedEventAttributes.identity ?? '');
      }
      return { rollouts: rollouts.map((id) => id.split(':')[1] ?? ''), workers: [...workers] };
    } finally {
      await connection.close();
    }
  }

  /** A push to each has its rollout there alone, done by the one whose it is. */
  async function eachDoesItsOwn(): Promise<void> {
    for (const { push } of both) await eventually('a push to be accepted', async () => (await push()).status === 202);
    for (const { name, landfall } of both) {
      const work = await eventually('work to be done', async () => {
        const seen = await workOf(name).catch(() => undefined);
        return seen !== undefined && seen.workers.length > 0 && seen;
      });
      assert.deepEqual(work, { rollouts: [name], workers: [`${landfall.pid}@${hostname()}`] });
    }
  }

  it('does its own rollouts only, where two start at the same moment and the server of one is killed meanwhile', async () => {
    await eachDoesItsOwn();
    assert.equal(proxied, 0, 'what is on this host was asked for through a proxy');
  });

  it('does what its file says, also where variables would stand for one, and says so', () => {
    for (const { landfall, name } of both) {
      assert.match(landfall.output(), /Landfall serves 1 service of /, name);
      assert.match(
        landfall.output(),
        /landfall\.yaml is there, so it says what is done, and not GITHUB_OIDC_AUDIENCE, .* alone\./,
      );
    }
  });

  it('goes on at the same address when the servers of both are killed at the same moment', async () => {
    const before = await Promise.all(both.map(({ name }) => stateOf(name)));
    for (const { pid } of before) process.kill(pid, 'SIGKILL');
    await eachDoesItsOwn();
    const after = await Promise.all(both.map(({ name }) => stateOf(name)));
    for (const [at, { address, pid }] of after.entries()) {
      assert.equal(address, before[at]?.address);
      assert.notEqual(pid, before[at]?.pid);
    }
  });

  it('keeps its key, and all that Temporal has, from every other user, and the command of its own user reads it', async () => {
    const data = join(home, 'one', 'data');
    const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
    assert.equal(await modeOf(data), 0o700);
    const kept = (await readdir(data)).filter((name) => name.startsWith('temporal.') || name === keyFile);
    assert.ok(
      ['temporal.db', 'temporal.json', 'temporal.db.json', keyFile].every((name) => kept.includes(name)),
      String(kept),
    );
    for (const name of kept) assert.equal(await modeOf(join(data, name)), 0o600, name);
    assert.match(await readFile(join(data, keyFile), 'utf8'), /^[0-9a-f]{64}\n$/);
    const [row] = JSON.parse((await landfallHere(['list', '--json'], { cwd: join(home, 'one') })).stdout) as RolloutRow[];
    assert.equal(row?.service, 'one');
  });

  it('has every figure that the rules and the dashboard of examples/monitoring ask for', async () => {
    const folder = new URL('../../examples/monitoring/', import.meta.url);
    const texts = await Promise.all(['alerts.yml', 'dashboard.json'].map((name) => readFile(new URL(name, folder), 'utf8')));
    const asked = texts.flatMap((text) => text.match(/\b(?:landfall|temporal|nodejs|process)_[a-z0-9_]+/g) ?? []);
    const named = [...new Set(asked.map((name) => name.replace(/_(?:bucket|count|sum)$/, '')))];
    assert.ok(named.length > 30);
    const figures = await both[0]?.figures();
    const described = new Set([...(figures ?? '').matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
    assert.deepEqual(
      named.filter((name) => !described.has(name)),
      [],
    );
    assert.match(figures ?? '', /^landfall_rollouts\{service="one",status="running"\} 1$/m);
    assert.match(figures ?? '', /^landfall_rollouts_ended_total\{service="one",end="rolled-back"\} 0$/m);
  });

  it('serves its file as it is now, and goes on with what it had where that is wrong', async () => {
    const [, two] = both;
    assert.ok(two);
    const { file, landfall, push, figures } = two;
    const before = await readFile(file, 'utf8');
    const said = (text: RegExp) => eventually(String(text), async () => text.test(landfall.output()));
    assert.match(await (await push('team/other')).text(), /no service follows/);
    const more = before
      .replace('HOOK_TOKEN }', 'NEW_TOKEN }')
      .replace(
        'services: [',
        'services: [{ name: other, image: "127.0.0.1:1/team/other", tags: [latest], smoke: off, scan: off }, ',
      );
    await writeFile(file, more);
    await said(
      /"services":\["other"\],"receivers":\["distribution"\],"msg":"the configuration was read again and serves what begins/,
    );
    assert.equal((await push('team/other')).status, 401);
    assert.equal((await push('team/other', 'new')).status, 202);

    await writeFile(file, more.replace('tags: [latest]', 'tag: latest'));
    await said(
      /services\[0\]\.tag: .*did you mean tags.*"msg":"the configuration was read again and is refused: the one before goes on"/,
    );
    assert.equal((await push('team/other', 'new')).status, 202);
    assert.match(await figures(), /^landfall_configuration_accepted 0$/m);

    await writeFile(file, `${before.replace('search: off', 'search: 1h')}limits: { checks: 1 }\n`);
    process.kill(landfall.pid, 'SIGHUP');
    await said(/"afterRestart":\["limits"\],"msg":"[^"]* except for limits: restart Landfall for that"/);
    assert.match(await (await push('team/other')).text(), /no service follows/);
    assert.match(await figures(), /^landfall_configuration_accepted 1$/m);
  });

  it('lets in who its file names now, and shows what it has now', async () => {
    const [, two] = both;
    assert.ok(two);
    const { file, landfall, operators } = two;
    const before = await readFile(file, 'utf8');
    const statusOf = async (path: string, headers = {}) => (await fetch(`${operators}${path}`, { headers })).status;
    const told = { Authorization: `Bearer ${annsToken}` };
    const serves = async (text: string, path: string, headers: object, status: number) => {
      await writeFile(file, text);
      process.kill(landfall.pid, 'SIGHUP');
      await eventually(`${path} to be ${status}`, async () => (await statusOf(path, headers)) === status);
    };
    assert.equal(await statusOf('/api/v1/me'), 200);
    const named = `${before}operators: [{ name: ann, token: env:ANN }]\n`;
    await serves(named, '/api/v1/me', {}, 401);
    assert.deepEqual([await statusOf('/api/v1/me', told), await statusOf('/services/another', told)], [200, 404]);
    await serves(named.replace('name: two', 'name: another'), '/services/another', told, 200);
    assert.match(await (await fetch(`${operators}/rollouts`, { headers: told })).text(), /<option[^>]*>another</);
    await serves(named.replace('name: ann', 'name: ben').replace('env:ANN', 'env:NEW_TOKEN'), '/api/v1/me', told, 401);
    assert.match(landfall.output(), /"operators":"changed","msg":"the configuration was read again and serves/);
    await serves(before, '/api/v1/me', {}, 200);
  });

  // The schedule is of the file that the test before has left.
  it('is found, looked at and paused by the commands of the documents, with the command of Temporal', async () => {
    const [, two] = both;
    assert.ok(two);
    const { address } = await stateOf(two.name);
    const text = await readFile(new URL('../../docs/operating.md', import.meta.url), 'utf8');
    const commands = text.match(/^temporal .*$/gm) ?? [];
    assert.ok(commands.length > 6);
    const env = {
      ...process.env,
      TEMPORAL_ADDRESS: address,
      PATH: `${dirname(findTool('temporal', process.env) ?? '')}:${process.env.PATH}`,
    };
    for (const command of commands) {
      const { stdout } = await promisify(execFile)(
        'sh',
        ['-c', `${command.replaceAll('ghcr.io', '127.0.0.1:1')} --client-connect-timeout 30s`],
        { env },
      );
      assert.doesNotMatch(stdout, /error/i, command);
    }
  });

  it('says in its log how a rollout has ended, counts it, and tells who listens of the decision', async () => {
    const [one] = both;
    assert.ok(one);
    const { body } = await fetch(`${one.operators}/api/v1/events`, { signal: AbortSignal.timeout(30_000) });
    await landfallHere(['abort', 'one', '--yes', '--reason', 'enough'], { cwd: join(home, 'one') });
    const verdict = /"rollout":"rollout:one:latest:a+".*"verdict":"aborted".*"msg":"aborted: aborted by .*enough"/;
    await eventually('the line of its end', async () => verdict.test(one.landfall.output()));
    assert.match(await one.figures(), /^landfall_rollouts_ended_total\{service="one",end="aborted"\} 1$/m);
    const decision =
      /event: decision\ndata: \{"action":"abort","by":"[^"]+","services":\["one"\],"workflow":"rollout:one:latest:/;
    let events = '';
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      events += chunk;
      if (decision.test(events)) break;
    }
    assert.match(events, decision);
  });

  it('takes its server along when it is told to end, also where npm passes the signal on once more, and says so', async () => {
    const one = both[0];
    assert.ok(one);
    const { pid } = await stateOf(one.name);
    const stopped = one.landfall.stop();
    process.kill(one.landfall.pid, 'SIGTERM');
    assert.equal(await stopped, 0);
    assert.match(one.landfall.output(), /"msg":"stopping: .*"msg":"stopped"/s);
    await eventually('the end of its server', async () => (await identify(pid)) === undefined);
  });

  it('is there again, with all that was, once its folder is lost and restored by the commands of the documents', async () => {
    const text = await readFile(new URL('../../docs/production.md', import.meta.url), 'utf8');
    const [backUp, restore] = [...text.matchAll(/^```\n((?:rm -rf data\n)?tar [^`]*)```$/gm)].map(
      ([, commands = '']) => commands,
    );
    const cwd = join(home, 'one');
    const run = async (commands = '') => await promisify(execFile)('sh', ['-ec', commands], { cwd });
    await run(backUp);
    const key = await readFile(join(cwd, 'data', keyFile), 'utf8');
    await rm(join(cwd, 'data'), { recursive: true });
    await run(restore);
    assert.equal(await readFile(join(cwd, 'data', keyFile), 'utf8'), key);
    const { landfall } = await start('one');
    try {
      const rows = JSON.parse((await landfallHere(['list', '--json'], { cwd })).stdout) as RolloutRow[];
      assert.deepEqual(
        rows.map(({ service, status }) => [service, status]),
        [['one', 'aborted']],
      );
      assert.equal((await landfallHere(['lane', 'one', '--json'], { cwd })).exitCode, 0);
    } finally {
      await landfall.stop();
    }
  });
});

/** As registry:2 reports it. */
const pushed = {
  id: '227c0887-aa47-46d2-81f8-6b2ac7e0df35',
  timestamp: '2026-11-21T03:45:27.289840642Z',
  action: 'push',
  target: {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    size: 427,
    digest,
    length: 427,
    repository: 'team/app',
    url: `http://127.0.0.1:1/v2/team/app/manifests/${digest}`,
    tag: 'latest',
  },
  request: { id: '3e2d4891-1d47-49d6-b258-bb28f9202be9', addr: '127.0.0.1:56194', host: '127.0.0.1:1', method: 'PUT' },
  actor: {},
  source: { addr: 'registry.example.test:5055', instanceID: '363486ff-b963-46d1-9017-a46f4335e292' },
};
