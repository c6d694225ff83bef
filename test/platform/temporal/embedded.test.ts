import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { searchAttributes } from '../../../src/contracts/start-options.ts';
import { reservePort } from '../../../src/platform/ports.ts';
import { identify } from '../../../src/platform/processes/identity.ts';
import {
  type EmbeddedTemporal,
  type EmbeddedTemporalOptions,
  startEmbeddedTemporal,
} from '../../../src/platform/temporal/embedded.ts';
import { missingSearchAttributes, prepareNamespace, searchAttributeCommand } from '../../../src/platform/temporal/namespace.ts';
import { findTool } from '../../../src/platform/tools.mjs';

const wanted = Object.values(searchAttributes);
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('the embedded Temporal server', function () {
  this.timeout(90_000);
  let folder: string;
  const running = new Set<EmbeddedTemporal>();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-temporal-'));
  });
  afterEach(async () => {
    for (const server of running) await server.stop();
    running.clear();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(options: Partial<EmbeddedTemporalOptions> = {}): Promise<EmbeddedTemporal> {
    const command = findTool('temporal');
    assert.ok(command, 'the tests need the temporal command');
    const server = await startEmbeddedTemporal({ folder, command, searchAttributes: wanted, log: silent, ...options });
    running.add(server);
    return server;
  }

  async function stop(server: EmbeddedTemporal): Promise<void> {
    running.delete(server);
    await server.stop();
  }

  async function withClient<Answer>(
    { address, namespace }: EmbeddedTemporal,
    use: (client: Client) => Promise<Answer>,
  ): Promise<Answer> {
    const connection = await Connection.connect({ address, connectTimeout: '10s' });
    try {
      return await use(new Client({ connection, namespace }));
    } finally {
      await connection.close();
    }
  }

  async function startWorkflow(server: EmbeddedTemporal): Promise<string> {
    const workflowId = `rollout:app:latest:${Date.now()}`;
    await withClient(server, (client) =>
      client.workflow.start('rollout', {
        workflowId,
        taskQueue: 'nobody-listens',
        typedSearchAttributes: new TypedSearchAttributes([{ key: searchAttributes.service, value: 'app' }]),
      }),
    );
    return workflowId;
  }

  async function statusOf(server: EmbeddedTemporal, workflowId: string): Promise<string> {
    return withClient(server, async (client) => (await client.workflow.getHandle(workflowId).describe()).status.name);
  }

  it('serves a namespace that keeps 720 h and takes our search attributes at once, and says where it is', async () => {
    const server = await start();
    const workflowId = await startWorkflow(server);
    assert.equal(await statusOf(server, workflowId), 'RUNNING');
    await withClient(server, async ({ connection, workflowService }) => {
      const { config } = await workflowService.describeNamespace({ namespace: server.namespace });
      assert.equal(Number(config?.workflowExecutionRetentionTtl?.seconds), 720 * 3600);
      assert.deepEqual(await missingSearchAttributes(connection as Connection, server.namespace, wanted), []);
    });
    assert.ok((await fetch(server.uiUrl)).ok);
    const { address, namespace, uiUrl } = server;
    const { mark, ...state } = JSON.parse(await readFile(join(folder, 'temporal.json'), 'utf8'));
    assert.deepEqual(state, { address, namespace, uiUrl, pid: server.pid() });
    assert.match(mark, /^landfall-folder-[0-9a-f]{12}$/);
  });

  it('is started again on the same port after SIGKILL, with every workflow still there', async () => {
    const exits = new EventEmitter();
    const server = await start({ onExit: ({ signal }) => exits.emit('exit', signal) });
    const workflowId = await startWorkflow(server);
    const first = server.pid();
    assert.ok(first);
    const exited = once(exits, 'exit');
    process.kill(first, 'SIGKILL');
    assert.deepEqual(await exited, ['SIGKILL']);
    assert.equal(await statusOf(server, workflowId), 'RUNNING');
    assert.notEqual(server.pid(), first);
    assert.equal(JSON.parse(await readFile(join(folder, 'temporal.json'), 'utf8')).pid, server.pid());
  });

  it('goes on with what was running when it is started again on the same folder', async () => {
    const first = await start();
    const workflowId = await startWorkflow(first);
    await stop(first);
    const second = await start();
    assert.equal(await statusOf(second, workflowId), 'RUNNING');
  });

  it('ends with the call of stop: no process, no state file, and a folder that another may have', async () => {
    const server = await start();
    const pid = server.pid();
    assert.ok(pid);
    await stop(server);
    assert.equal(await identify(pid), undefined);
    await assert.rejects(readFile(join(folder, 'temporal.json')), { code: 'ENOENT' });
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith('owner')),
      [],
    );
  });

  it('stops the server that a killed parent left, and goes on with its file', async () => {
    const leftover = await startAndKillParent(folder);
    const abandoned = await identify(leftover.pid);
    assert.ok(abandoned, 'the server outlives its parent');
    try {
      const server = await start();
      assert.equal(await identify(leftover.pid), undefined, 'the abandoned server runs on');
      assert.equal(await statusOf(server, leftover.workflowId), 'RUNNING');
    } finally {
      if ((await identify(leftover.pid))?.started === abandoned.started) process.kill(leftover.pid, 'SIGKILL');
    }
  });

  it('refuses a folder that a running Landfall has', async () => {
    await start();
    await assert.rejects(start(), new RegExp(`in use by another Landfall \\(process ${process.pid} on .*\\): stop that one`));
  });

  it('refuses a configured port that is taken, and names the setting', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    assert.ok(address !== null && typeof address === 'object');
    try {
      await assert.rejects(
        start({ port: address.port }),
        new RegExp(`temporal.port is ${address.port}, but something else listens`),
      );
    } finally {
      other.close();
    }
  });

  it('serves at a configured port', async () => {
    const port = await reservePort();
    assert.equal((await start({ port })).address, `127.0.0.1:${port}`);
  });

  it('shows what the server printed when it does not come up', async () => {
    await assert.rejects(
      start({ command: '/bin/false' }),
      /expected the Temporal server to serve at 127\.0\.0\.1:\d+, but it did not/,
    );
  });

  it('only reports missing search attributes, with a command that adds them', async () => {
    const server = await start({ searchAttributes: [] });
    await withClient(server, async ({ connection }) => {
      const missing = await missingSearchAttributes(connection as Connection, server.namespace, wanted.slice(0, 2));
      assert.deepEqual(missing, wanted.slice(0, 2));
      assert.equal(
        searchAttributeCommand(missing, server),
        `temporal operator search-attribute create --address ${server.address} --namespace default \\\n` +
          '  --name LandfallService --type Keyword \\\n  --name LandfallImage --type Keyword',
      );
      await prepareNamespace(connection as Connection, server.namespace, wanted);
      await prepareNamespace(connection as Connection, server.namespace, wanted);
      assert.deepEqual(await missingSearchAttributes(connection as Connection, server.namespace, wanted), []);
    });
  });
});

/** A parent in a process of its own, killed as soon as its server has a workflow. */
async function startAndKillParent(folder: string): Promise<{ pid: number; workflowId: string }> {
  const script = fileURLToPath(new URL('../../support/embedded-temporal-parent.ts', import.meta.url));
  const parent = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(parent, 'exit');
  try {
    const [line] = await Promise.race([
      once(createInterface({ input: parent.stdout }), 'line'),
      ended.then(() => assert.fail('the parent ended before its server served')),
    ]);
    return JSON.parse(String(line));
  } finally {
    parent.kill('SIGKILL');
    await ended;
  }
}
