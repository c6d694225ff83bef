import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Client, Connection } from '@temporalio/client';
import { sparingGo } from '../../scripts/setup/machine.mjs';
import type { Sealing } from '../../src/contracts/seal.ts';
import { sealedClient } from '../../src/contracts/sealed-client.ts';
import { searchAttributes } from '../../src/contracts/start-options.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { eventually } from './wait.ts';

/** Landfall's key in all tests. */
export const testKey = 'the-key-that-every-process-of-a-test-has';
export const testSealing: Sealing = { keys: [testKey] };

/** One namespace of a server that other test files may use as well. */
export interface TestNamespace {
  readonly address: string;
  readonly namespace: string;
  /** It seals what it says by the tests' key. */
  readonly client: Client;
  /** For a process of Landfall, or its command, that is to work with it. */
  readonly env: { readonly TEMPORAL_ADDRESS: string; readonly TEMPORAL_NAMESPACE: string; readonly LANDFALL_KEY: string };
  stop(): Promise<void>;
}

/** A server of one's own. */
export interface TestTemporal extends TestNamespace {
  /** Starts the server again after `kill`, on the same port; state is kept where a `databaseFile` was given. */
  start(): Promise<void>;
  /** SIGKILL, as an outage would. */
  kill(): Promise<void>;
  /** Freezes and thaws the server: connections stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
}

/** More than the files that one process of mocha runs; an unused one takes the server a moment every minute. */
const namespaces = Array.from({ length: 16 }, (_, index) => `tests-${index + 1}`);
let shared: { readonly address: Promise<string>; readonly free: string[] } | undefined;

/**
 * An empty namespace, with Landfall's search attributes, of a server that runs until this process ends: for whoever neither stops nor
 * freezes the server. Workflow ids, task queues and schedules of other test files are not seen in it.
 */
export async function startNamespace(): Promise<TestNamespace> {
  if (shared === undefined || shared.free.length === 0) shared = { address: startSharedServer(), free: [...namespaces] };
  const namespace = shared.free.shift() ?? 'default';
  const address = await shared.address;
  const connection = await Connection.connect({ address });
  return { ...clientOf(connection, address, namespace), stop: () => connection.close() };
}

function clientOf(connection: Connection, address: string, namespace: string): Omit<TestNamespace, 'stop'> {
  const env = { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace, LANDFALL_KEY: testKey };
  return { address, namespace, env, client: sealedClient({ connection, namespace, sealing: testSealing }) };
}

async function startSharedServer(): Promise<string> {
  const port = await reservePort();
  const address = `127.0.0.1:${port}`;
  const server = spawnServer(
    port,
    namespaces.flatMap((name) => ['--namespace', name]),
  );
  process.once('exit', () => server.kill('SIGKILL'));
  // It keeps nobody from ending.
  server.unref();
  await untilServing(address, server, namespaces.at(-1));
  return address;
}

/**
 * Waits until a workflow, which there may not be yet, asks for an activity for the n-th time. Temporal tells it at once.
 * @param withinMs for the workflow to begin
 */
export async function untilScheduled(
  { client, namespace }: TestNamespace,
  workflowId: string,
  activity: string,
  { nth = 1, withinMs = 60_000 }: { nth?: number; withinMs?: number } = {},
): Promise<void> {
  const handle = client.workflow.getHandle(workflowId);
  await eventually(`${workflowId} to begin`, () => handle.describe().catch(() => undefined), withinMs);
  const request = { namespace, execution: { workflowId }, waitNewEvent: true, nextPageToken: new Uint8Array() };
  for (let left = nth; ; ) {
    const { history, nextPageToken } = await client.workflowService.getWorkflowExecutionHistory(request);
    for (const { activityTaskScheduledEventAttributes: scheduled } of history?.events ?? [])
      if (scheduled?.activityType?.name === activity) left -= 1;
    if (left <= 0) return;
    if (!nextPageToken?.length) throw new Error(`${workflowId} ended: it asked for ${activity} ${nth - left} times, not ${nth}`);
    request.nextPageToken = new Uint8Array(nextPageToken);
  }
}

/** A real Temporal dev server on a chosen-free port, with Landfall's search attributes. */
export async function startTemporal(options: { databaseFile?: string } = {}): Promise<TestTemporal> {
  const port = await reservePort();
  const address = `127.0.0.1:${port}`;
  let server: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    server = spawnServer(port, storageFlags(options.databaseFile));
    await untilServing(address, server);
  };
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    const running = server;
    server = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    running.kill('SIGCONT');
    running.kill(signal);
    await once(running, 'exit');
  };
  await start();
  const connection = await Connection.connect({ address });
  return {
    ...clientOf(connection, address, 'default'),
    start,
    kill: () => kill(),
    freeze: () => void server?.kill('SIGSTOP'),
    thaw: () => void server?.kill('SIGCONT'),
    stop: async () => {
      await connection.close();
      await kill();
    },
  };
}

function spawnServer(port: number, more: readonly string[]): ChildProcess {
  const command = process.env.TEMPORAL_CLI ?? findTool('temporal', process.env);
  if (command === undefined) throw new Error('the temporal command is missing: run `node scripts/setup.mjs`');
  const columns = Object.values(searchAttributes).flatMap(({ name, type }) => [
    '--search-attribute',
    `${name}=${columnType[type]}`,
  ]);
  const flags = ['--headless', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'never', ...more, ...columns];
  return spawn(command, ['server', 'start-dev', ...flags], { stdio: 'ignore', env: { ...sparingGo, ...process.env } });
}

function storageFlags(databaseFile: string | undefined): string[] {
  if (databaseFile === undefined) return [];
  return ['--db-filename', databaseFile, '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'];
}

const columnType = {
  TEXT: 'Text',
  KEYWORD: 'Keyword',
  INT: 'Int',
  DOUBLE: 'Double',
  BOOL: 'Bool',
  DATETIME: 'Datetime',
  KEYWORD_LIST: 'KeywordList',
} as const;

async function untilServing(address: string, server: ChildProcess, namespace = 'default'): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`the Temporal server ended with exit code ${server.exitCode}`);
    try {
      const connection = await Connection.connect({ address, connectTimeout: 1_000 });
      await connection.workflowService.describeNamespace({ namespace });
      await connection.close();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}
