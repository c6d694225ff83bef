import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Client, Connection } from '@temporalio/client';
import { searchAttributes } from '../../src/contracts/start-options.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { findTool } from '../../src/platform/tools.mjs';

export interface TestTemporal {
  readonly address: string;
  readonly namespace: string;
  readonly client: Client;
  /** Starts the server again after `kill`, on the same port; state is kept where a `databaseFile` was given. */
  start(): Promise<void>;
  /** SIGKILL, as an outage would. */
  kill(): Promise<void>;
  /** Freezes and thaws the server: connections stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** A real Temporal dev server on a chosen-free port, with Landfall's search attributes. */
export async function startTemporal(options: { databaseFile?: string } = {}): Promise<TestTemporal> {
  const port = await reservePort();
  const address = `127.0.0.1:${port}`;
  let server: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    server = spawnServer(port, options.databaseFile);
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
    address,
    namespace: 'default',
    client: new Client({ connection }),
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

function spawnServer(port: number, databaseFile: string | undefined): ChildProcess {
  const command = process.env.TEMPORAL_CLI ?? findTool('temporal', process.env);
  if (command === undefined) throw new Error('the temporal command is missing: run `node scripts/setup.mjs`');
  const columns = Object.values(searchAttributes).flatMap(({ name, type }) => [
    '--search-attribute',
    `${name}=${columnType[type]}`,
  ]);
  const storage =
    databaseFile === undefined
      ? []
      : ['--db-filename', databaseFile, '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'];
  const flags = ['--headless', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'never', ...storage, ...columns];
  return spawn(command, ['server', 'start-dev', ...flags], { stdio: 'ignore' });
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

async function untilServing(address: string, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`the Temporal server ended with exit code ${server.exitCode}`);
    try {
      const connection = await Connection.connect({ address, connectTimeout: 1_000 });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      await connection.close();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}
