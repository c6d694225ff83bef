import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Connection } from '@temporalio/client';
import { ownFolder } from './folder-owner.ts';
import { choosePort } from './ports.ts';
import { findProcesses, identify, type ProcessIdentity } from './process-identity.ts';
import { type Supervised, type SupervisorLog, superviseProcess } from './supervised-process.ts';
import { prepareNamespace, type WantedAttribute } from './temporal-namespace.ts';

export interface EmbeddedTemporalOptions {
  /** The data folder; it keeps `temporal.db`, `temporal.json`, `temporal.log`. Created where it is missing. */
  readonly folder: string;
  /** Path of the `temporal` command. */
  readonly command: string;
  /** Used as given, or refused where it is taken. Absent: 7233 where that is free, else any free one. */
  readonly port?: number;
  /** The same for the web UI; absent: 8233 where that is free, else any free one. */
  readonly uiPort?: number;
  readonly searchAttributes: readonly WantedAttribute[];
  readonly log: SupervisorLog;
  /** The server ended without being asked to. It is started again by itself, on the same ports. */
  readonly onExit?: (exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null }) => void;
}

export interface EmbeddedTemporal {
  readonly address: string;
  readonly namespace: string;
  readonly uiUrl: string;
  /** Process id of the server that runs now; undefined between its death and its restart. */
  pid(): number | undefined;
  /** Stops the server and gives the folder back. Called last, after workers and connections. */
  stop(): Promise<void>;
}

const namespace = 'default';
const ip = '127.0.0.1';
/** A cold start takes a second or two; a loaded machine, or a large file after a crash, much longer. */
const startDeadlineMs = 60_000;

/**
 * Runs the Temporal dev server on a SQLite file: all that a single host needs. It has a process group of its own, so that Ctrl-C on a
 * terminal reaches only us and the server can stop last; what a killed parent left running is stopped first, by its command line.
 * @throws where another Landfall has the folder, a configured port is taken, or the server does not serve within a minute
 */
export async function startEmbeddedTemporal(options: EmbeddedTemporalOptions): Promise<EmbeddedTemporal> {
  const folder = resolve(options.folder);
  await mkdir(folder, { recursive: true });
  const giveBack = await ownFolder(folder);
  try {
    return await startOwned({ ...options, folder }, giveBack);
  } catch (error) {
    await giveBack();
    throw error;
  }
}

async function startOwned(options: EmbeddedTemporalOptions, giveBack: () => Promise<void>): Promise<EmbeddedTemporal> {
  const { folder, log } = options;
  const database = join(folder, 'temporal.db');
  await stopLeftovers(database, log);
  const port = await choosePort({ ip, configured: options.port, preferred: 7233, setting: 'temporal.port' });
  const uiPort = await choosePort({ ip, configured: options.uiPort, preferred: 8233, setting: 'temporal.uiPort' });
  const address = `${ip}:${port}`;
  const uiUrl = `http://${ip}:${uiPort}`;
  const stateFile = join(folder, 'temporal.json');
  const server = await superviseProcess({
    name: 'Temporal server',
    command: options.command,
    arguments: serverArguments(database, port, uiPort),
    // A clean environment: TEMPORAL_* variables and files in a home folder would change what the server does.
    env: { HOME: folder },
    logFile: join(folder, 'temporal.log'),
    log,
    onStart: (pid) => writeAtomically(stateFile, `${JSON.stringify({ address, namespace, uiUrl, pid })}\n`),
    ...(options.onExit === undefined ? {} : { onExit: options.onExit }),
  });
  const stop = async () => {
    await server.stop();
    await rm(stateFile, { force: true });
    await giveBack();
  };
  try {
    await untilPrepared(address, options.searchAttributes, server);
  } catch (error) {
    await stop();
    throw error;
  }
  log.info({ address, uiUrl, serverPid: server.pid() }, 'embedded Temporal serves');
  return { address, namespace, uiUrl, pid: () => server.pid(), stop };
}

/** WAL with synchronous FULL: what was acknowledged survives a power cut, at 2.8 times the workflow starts of the default journal. */
function serverArguments(database: string, port: number, uiPort: number): string[] {
  return [
    ...['server', 'start-dev', '--db-filename', database],
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'],
    ...['--ip', ip, '--port', String(port), '--ui-port', String(uiPort), '--log-level', 'warn', '--log-format', 'json'],
  ];
}

/** A server that a killed parent left on this file. It is ours if it is a dev server with this very file; nothing else is touched. */
async function stopLeftovers(database: string, log: SupervisorLog): Promise<void> {
  for (const leftover of await findProcesses(`server start-dev --db-filename ${database} `)) {
    log.warn({ serverPid: leftover.pid }, 'stopping the Temporal server that an earlier Landfall left running');
    await stopProcess(leftover);
  }
}

async function stopProcess(target: ProcessIdentity): Promise<void> {
  for (const [signal, graceMs] of [
    ['SIGTERM', 10_000],
    ['SIGKILL', 5_000],
  ] as const) {
    if (!(await isRunning(target))) return;
    process.kill(target.pid, signal);
    for (let waited = 0; waited < graceMs && (await isRunning(target)); waited += 50) {
      // Not our child: no event tells of its end.
      await new Promise((passed) => setTimeout(passed, 50));
    }
  }
  if (await isRunning(target))
    throw new Error(`process ${target.pid} (${target.command}) does not end: stop it by hand and start again`);
}

async function isRunning(target: ProcessIdentity): Promise<boolean> {
  return (await identify(target.pid))?.started === target.started;
}

/** Returns once the namespace answers and is ready; gives up early where the server ended by itself. */
async function untilPrepared(address: string, wanted: readonly WantedAttribute[], server: Supervised): Promise<void> {
  const giveUpAt = Date.now() + startDeadlineMs;
  for (;;) {
    try {
      return await prepareAt(address, wanted);
    } catch (error) {
      if (server.exits() > 0 || Date.now() > giveUpAt) {
        const log = await server.lastLines();
        throw new Error(`expected the Temporal server to serve at ${address}, but it did not. Its last lines:\n${log}`, {
          cause: error,
        });
      }
      await new Promise((passed) => setTimeout(passed, 100));
    }
  }
}

async function prepareAt(address: string, wanted: readonly WantedAttribute[]): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: 2000 });
  try {
    await prepareNamespace(connection, namespace, wanted);
  } finally {
    await connection.close();
  }
}

async function writeAtomically(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}
