import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { findProcesses, identify } from '../../../src/platform/processes/identity.ts';
import {
  type EmbeddedTemporal,
  type EmbeddedTemporalOptions,
  startEmbeddedTemporal,
} from '../../../src/platform/temporal/embedded.ts';
import { compareVersions } from '../../../src/platform/temporal/version.ts';
import { cachedTool, findTool, olderTemporal } from '../../../src/platform/tools.mjs';
import { eventually } from '../../support/wait.ts';

const newer = cachedTool('temporal');
const older = cachedTool('temporal', process.env, olderTemporal);

describe('an embedded Temporal server among others', function () {
  this.timeout(90_000);
  let home: string;
  const running = new Set<EmbeddedTemporal>();
  const occupied = new Set<Server>();
  const warnings: string[] = [];
  const log = {
    info: () => undefined,
    warn: (_: object, message: string) => void warnings.push(message),
    error: () => undefined,
  };

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'landfall-temporal-others-'));
    warnings.length = 0;
  });
  afterEach(async () => {
    delete process.env.http_proxy;
    await Promise.all([...running].map((server) => server.stop()));
    running.clear();
    for (const server of occupied) server.close();
    occupied.clear();
    await rm(home, { recursive: true, force: true });
  });

  async function start(name: string, options: Partial<EmbeddedTemporalOptions> = {}): Promise<EmbeddedTemporal> {
    const command = findTool('temporal');
    assert.ok(command, 'the tests need the temporal command');
    const server = await startEmbeddedTemporal({ folder: join(home, name), command, searchAttributes: [], log, ...options });
    running.add(server);
    return server;
  }

  async function stop(server: EmbeddedTemporal): Promise<void> {
    running.delete(server);
    await server.stop();
  }

  /** Has something listen at a port of loopback, where nothing does yet. */
  async function occupy(port: number): Promise<void> {
    const server = createServer();
    const listens = once(server, 'listening');
    server.listen(port, '127.0.0.1');
    await listens.then(
      () => occupied.add(server),
      (error: unknown) => assert.ok(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'),
    );
  }

  async function withClient<Answer>(
    { address }: Pick<EmbeddedTemporal, 'address'>,
    use: (client: Client) => Promise<Answer>,
  ): Promise<Answer> {
    const connection = await Connection.connect({ address, connectTimeout: '20s' });
    try {
      return await use(new Client({ connection }));
    } finally {
      await connection.close();
    }
  }

  /** Starts a workflow there that is named after the folder. */
  const startNamed = (server: EmbeddedTemporal, workflowId: string) =>
    withClient(server, (client) => client.workflow.start('rollout', { workflowId, taskQueue: 'nobody-listens' }));

  /** Which of the workflows a server has. */
  const foundAt = (server: Pick<EmbeddedTemporal, 'address'>, workflowIds: readonly string[]) =>
    withClient(server, async (client) => {
      const found = await Promise.all(
        workflowIds.map((id) =>
          client.workflow
            .getHandle(id)
            .describe()
            .then(
              () => [id],
              () => [],
            ),
        ),
      );
      return found.flat();
    });

  async function stateOf(name: string): Promise<{ pid: number; mark: string }> {
    return JSON.parse(await readFile(join(home, name, 'temporal.json'), 'utf8'));
  }

  it('is the own one for each of six folders that are started at the same moment', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const servers = await Promise.all(names.map(async (name) => ({ name, server: await start(name) })));
    await Promise.all(servers.map(({ name, server }) => startNamed(server, name)));
    for (const { name, server } of servers) assert.deepEqual(await foundAt(server, names), [name]);
    assert.equal(new Set(servers.flatMap(({ server }) => [server.address, server.uiUrl])).size, 2 * names.length);
  });

  it('keeps its port while it is started again, however many start meanwhile', async () => {
    const first = await start('first');
    await startNamed(first, 'first');
    const { pid } = await stateOf('first');
    process.kill(pid, 'SIGKILL');
    const second = await start('second');
    assert.notEqual(second.address, first.address);
    await startNamed(second, 'second');
    assert.deepEqual(await foundAt(first, ['first', 'second']), ['first']);
    assert.deepEqual(await foundAt(second, ['first', 'second']), ['second']);
    assert.notEqual((await stateOf('first')).pid, pid);
  });

  /** A `temporal` with something to do before it starts a server: `$real`, `$port`, and `$strange`, the arguments for another database. */
  async function commandThat(does: string): Promise<string> {
    const command = join(home, 'temporal');
    const lines = [
      '#!/bin/sh',
      `real="${findTool('temporal')}"`,
      'strange=$(echo "$@" | sed -e "s|temporal.db |strange.db |" -e "s|--namespace [^ ]*||" -e "s|--ui-port.*|--headless|")',
      'port=$(echo "$@" | sed -e "s|.* --port ||" -e "s| .*||")',
      `started() { [ -e "${home}/started" ] || { touch "${home}/started"; false; }; }`,
      `if [ "$1" = server ]; then ${does}; fi`,
      'exec "$real" "$@"',
    ];
    await writeFile(command, `${lines.join('\n')}\n`, { mode: 0o755 });
    return command;
  }

  const strangers = () => findProcesses(join(home, 'own', 'strange.db'));

  it('is not reached where another one answers in its place', async () => {
    const server = await start('own', { command: await commandThat('started && exec "$real" $strange') });
    const { pid } = await stateOf('own');
    process.kill(pid, 'SIGKILL');
    const stranger = await eventually('the stranger', async () => (await strangers())[0]);
    const port = / --port (\d+)/.exec(stranger.command)?.[1];
    await withClient({ address: `127.0.0.1:${port}` }, async ({ workflowService }) => {
      await eventually('the stranger to serve', () =>
        workflowService.describeNamespace({ namespace: 'default' }).catch(() => false),
      );
    });
    await assert.rejects(Connection.connect({ address: server.address, connectTimeout: 500 }));
  });

  it('that loses its port to another one while it starts is started again, at another port', async () => {
    const lose = '"$real" $strange & until "$real" operator namespace describe --address 127.0.0.1:$port default; do :; done';
    try {
      const server = await start('own', { command: await commandThat(`started || { ${lose}; }`) });
      await startNamed(server, 'own');
      const [stranger] = await strangers();
      assert.ok(stranger);
      const port = / --port (\d+)/.exec(stranger.command)?.[1];
      assert.deepEqual(await foundAt({ address: `127.0.0.1:${port}` }, ['own']), []);
    } finally {
      for (const { pid } of await strangers()) process.kill(pid, 'SIGKILL');
    }
  });

  it('that is killed while it starts is started again', async () => {
    const starting = start('own');
    const found = await eventually('its process', async () => (await findProcesses(join(home, 'own', 'temporal.db')))[0]);
    process.kill(found.pid, 'SIGKILL');
    const server = await starting;
    assert.notEqual(server.pid(), found.pid);
    await startNamed(server, 'own');
  });

  it('that was killed before it had made its tables begins anew, by itself and at the next start of Landfall', async () => {
    const file = join(home, 'own', 'temporal.db');
    const command = await commandThat(`started || { : > ${file}; exit 1; }`);
    const server = await start('own', { command });
    await startNamed(server, 'own');
    await stop(server);
    const noteFile = join(home, 'own', 'temporal.db.json');
    const note = JSON.parse(await readFile(noteFile, 'utf8'));
    assert.equal(note.isNew, undefined, 'from when it has served, it is kept');
    assert.deepEqual(await foundAt(await start('own'), ['own']), ['own']);
    await Promise.all([...running].map(stop));
    await writeFile(noteFile, JSON.stringify({ ...note, isNew: true }));
    await writeFile(file, '');
    await startNamed(await start('own'), 'again');
  });

  it('is reached at the same ports at the next start, and says so where it cannot be', async () => {
    await occupy(7233);
    await occupy(8233);
    const first = await start('own');
    assert.notEqual(first.address, '127.0.0.1:7233');
    await stop(first);
    for (const server of occupied) server.close();
    const second = await start('own');
    assert.deepEqual([second.address, second.uiUrl], [first.address, first.uiUrl]);
    assert.deepEqual(warnings, []);
    await stop(second);
    await occupy(Number(first.address.split(':')[1]));
    const third = await start('own');
    assert.notEqual(third.address, first.address);
    assert.equal(third.uiUrl, first.uiUrl);
    assert.match(warnings.join(), /something else listens at port \d+: Temporal is at \d+ from now on/);
  });

  it('is reached past a proxy that http_proxy names', async () => {
    process.env.http_proxy = 'http://127.0.0.1:1';
    assert.ok((await identify((await start('own')).pid() ?? 0)) !== undefined);
  });

  describe('of another version', () => {
    const copies = async (name: string) =>
      (await readdir(join(home, name))).filter((file) => file.startsWith('temporal-copy-of-'));

    it('copies the database before it uses it, and then the older one refuses it, with the way back', async () => {
      const first = await start('own', { command: older });
      await startNamed(first, 'before');
      await stop(first);
      assert.deepEqual(await copies('own'), []);

      const second = await start('own', { command: newer });
      await startNamed(second, 'after');
      assert.deepEqual(await foundAt(second, ['before', 'after']), ['before', 'after']);
      await stop(second);
      const [copy] = await copies('own');
      assert.match(copy ?? '', /^temporal-copy-of-1\.29\.1-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d$/);
      const wayBack = `rm ${join(home, 'own', 'temporal.db')}*; cp ${join(home, 'own', copy ?? '')}/* ${join(home, 'own')}/`;
      await assert.rejects(start('own', { command: older }), (error: Error) => {
        assert.match(error.message, /expected a Temporal CLI with server 1\.32\.0 or later, .* found server 1\.29\.1 /);
        assert.ok(error.message.endsWith(wayBack), error.message);
        return true;
      });
      await stop(await start('own', { command: newer }));
      assert.deepEqual(await copies('own'), [copy], 'it was copied again');

      execFileSync('sh', ['-c', wayBack]);
      const last = await start('own', { command: older });
      assert.deepEqual(await foundAt(last, ['before', 'after']), ['before']);
    });

    it('copies a database of which nothing is known, and only once for what was broken off', async () => {
      const first = await start('own');
      await startNamed(first, 'before');
      await stop(first);
      await rm(join(home, 'own', 'temporal.db.json'));
      for (const _ of ['once', 'and for each start until one serves'])
        await assert.rejects(start('own', { command: '/bin/false' }), /could not go on with the database that another one wrote/);
      await rm(join(home, 'own', 'temporal.db.json'));
      assert.deepEqual(await foundAt(await start('own'), ['before']), ['before']);
      const [copy, ...others] = await copies('own');
      assert.match(copy ?? '', /^temporal-copy-of-unknown-/);
      assert.deepEqual(others, []);
    });

    it('says how much room the copy needs where there is too little', async () => {
      const first = await start('own');
      await stop(first);
      await rm(join(home, 'own', 'temporal.db.json'));
      // Holds nothing, and so takes no room itself.
      await truncate(join(home, 'own', 'temporal.db'), 2 ** 43);
      await assert.rejects(
        start('own'),
        /expected 87960\d\d MB free in .*, for a copy of temporal\.db .*, found \d+ MB: make room/,
      );
      assert.deepEqual(await copies('own'), []);
    });

    it('is told by its numbers, not its letters', () => {
      assert.ok(Number(compareVersions('1.9.1', '1.29.0')) < 0);
      assert.ok(Number(compareVersions('2.0.0', '1.99.9')) > 0);
      assert.equal(compareVersions('1.5.1', '1.5.1-rc.1'), undefined);
      assert.equal(compareVersions('1.5.1', 'unknown'), undefined);
    });
  });
});
