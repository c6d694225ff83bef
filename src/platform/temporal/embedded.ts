import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import type { Log } from '../../domain/log.ts';
import { writeDurably } from '../files/durable-file.ts';
import { ownFolder } from '../files/folder-owner.ts';
import { type PortChoice, reservePort } from '../ports.ts';
import { findProcesses, identify, type ProcessIdentity } from '../processes/identity.ts';
import { type Supervised, superviseProcess } from '../processes/supervised.ts';
import { prepareNamespace, requireNamespace, type WantedAttribute } from './namespace.ts';
import { openRelay, type Relay } from './relay.ts';
import { goBack, guardDatabase, versionOf } from './version.ts';
import { type DatabaseNote, databaseFile, everybody, newMark, readNote, writeNote } from './version-note.ts';

export interface EmbeddedTemporalOptions {
  /** The data folder; it keeps `temporal.db`, `temporal.db.json`, `temporal.json`, `temporal.log`. Created if it is missing. */
  readonly folder: string;
  /** Path of the `temporal` command. */
  readonly command: string;
  /** Used as given, or refused if it is taken. Absent: that of the last time, 7233, or any, whichever is free first. */
  readonly port?: number;
  /** The same for the web UI; absent: that of the last time, 8233, or any. */
  readonly uiPort?: number;
  readonly searchAttributes: readonly WantedAttribute[];
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** The server ended without being asked to. It is restarted automatically, and keeps its ports. */
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
/** A server that ends while it starts may have lost a port to somebody; one that does so again and again has another reason. */
const mostStarts = 4;
const tellEveryMs = 10_000;

/** For connections to our own server: gRPC would send them through a proxy that `http_proxy` names, loopback or not. */
const directly = { 'grpc.enable_http_proxy': 0 } as const;

/**
 * Runs the Temporal dev server on a SQLite file: all that a single host needs. It has a process group of its own, so that Ctrl-C on a
 * terminal reaches only us and the server can stop last; what a killed parent left running is stopped first, by its command line.
 * A client that connects to `address` or `uiUrl` reaches this server or none, see docs/decisions/0015-own-temporal-behind-a-relay.md.
 * @throws where another Landfall has the folder, a configured port is taken, the database is of a later Temporal, or the server does not
 * serve within a minute
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
  const { folder, command, log } = options;
  await stopLeftovers(join(folder, databaseFile), log);
  const last = await readNote(folder);
  const version = await versionOf(command, folder);
  const made = await guardDatabase(folder, { command, version, last, log });
  const copy = last?.untriedSince ?? made;
  const relays = await openRelays(options, last);
  const note = { mark: last?.mark ?? newMark(), ...version, port: relays.frontend.port, uiPort: relays.ui.port };
  const server = new OwnServer(options, relays, note.mark);
  try {
    await writeNote(folder, { ...note, untriedSince: copy });
    await server.start();
    if (copy !== undefined) await writeNote(folder, note);
  } catch (error) {
    await server.stop();
    if (copy === undefined) throw error;
    throw new Error(
      'this Temporal could not go on with the database that another one wrote: choose another data folder, or name the CLI that wrote it in ' +
        `TEMPORAL_CLI and go back by ${goBack(folder, copy)}`,
      { cause: error },
    );
  }
  log.info({ address: server.address, uiUrl: server.uiUrl, serverPid: server.pid() }, 'embedded Temporal serves');
  const { address, uiUrl } = server;
  const stop = async (): Promise<void> => {
    try {
      await server.stop();
    } finally {
      await giveBack();
    }
  };
  return { address, namespace, uiUrl, pid: () => server.pid(), stop };
}

interface Relays {
  readonly frontend: Relay;
  readonly ui: Relay;
}

/** Bookmarks and scripts know the ports of the last time. */
async function openRelays({ port, uiPort, log }: EmbeddedTemporalOptions, last?: DatabaseNote): Promise<Relays> {
  const open = async (what: string, choice: Pick<PortChoice, 'setting' | 'configured'>, usual: number, before = usual) => {
    const relay = await openRelay({ ...choice, ip, preferred: [before, usual] });
    if (last !== undefined && choice.configured === undefined && relay.port !== before)
      log.warn({ before, port: relay.port }, `something else listens at port ${before}: ${what} is at ${relay.port} from now on`);
    return relay;
  };
  const frontend = await open('Temporal', { setting: 'temporal.port', configured: port }, 7233, last?.port);
  try {
    const ui = await open("Temporal's page", { setting: 'temporal.uiPort', configured: uiPort }, 8233, last?.uiPort);
    return { frontend, ui };
  } catch (error) {
    await frontend.close();
    throw error;
  }
}

/** A server process of ours, from its start to its end. */
interface ServerRun {
  readonly pid: number;
  readonly port: number;
  readonly uiPort: number;
}

/** The server behind its relays: each process that runs it is reached once it has shown the mark, until it ends. */
class OwnServer {
  readonly address: string;
  readonly uiUrl: string;
  readonly #options: EmbeddedTemporalOptions;
  readonly #relays: Relays;
  readonly #mark: string;
  readonly #stateFile: string;
  #ports = { port: 0, uiPort: 0 };
  #process: Supervised | undefined;
  #run: ServerRun | undefined;
  #failure: unknown;
  #starting: { served(): void; gaveUp(): void } | undefined;

  constructor(options: EmbeddedTemporalOptions, relays: Relays, mark: string) {
    this.#options = options;
    this.#relays = relays;
    this.#mark = mark;
    this.#stateFile = join(options.folder, 'temporal.json');
    this.address = `${ip}:${relays.frontend.port}`;
    this.uiUrl = `http://${ip}:${relays.ui.port}`;
  }

  pid(): number | undefined {
    return this.#process?.pid();
  }

  /** Returns once it serves. */
  async start(): Promise<void> {
    const served = new Promise<boolean>((settle) => {
      this.#starting = { served: () => settle(true), gaveUp: () => settle(false) };
    });
    this.#process = await superviseProcess({
      name: 'Temporal server',
      command: this.#options.command,
      arguments: () => this.#arguments(),
      // A clean environment: TEMPORAL_* variables and files in a home folder would change what the server does.
      env: { HOME: this.#options.folder },
      logFile: join(this.#options.folder, 'temporal.log'),
      log: this.#options.log,
      onStart: (pid) => this.#started(pid),
      onExit: (exit) => this.#ended(exit),
    });
    const deadline = setTimeout(() => this.#starting?.gaveUp(), startDeadlineMs);
    const serves = await served;
    clearTimeout(deadline);
    this.#starting = undefined;
    if (serves) return;
    const printed = await this.#process.lastLines();
    throw new Error(`expected the Temporal server to serve at ${this.address}, but it did not. Its last lines:\n${printed}`, {
      cause: this.#failure,
    });
  }

  async stop(): Promise<void> {
    this.#run = undefined;
    await this.#process?.stop();
    await Promise.all([this.#relays.frontend.close(), this.#relays.ui.close()]);
    await rm(this.#stateFile, { force: true });
  }

  /** Other ports at each start: clients do not know them, and a taken port may be why it failed the last time. */
  async #arguments(): Promise<string[]> {
    this.#ports = { port: await reservePort(ip), uiPort: await reservePort(ip) };
    return serverArguments(join(this.#options.folder, databaseFile), this.#mark, this.#ports);
  }

  async #started(pid: number): Promise<void> {
    const { address, uiUrl } = this;
    await writeDurably(this.#stateFile, `${JSON.stringify({ address, namespace, uiUrl, pid, mark: this.#mark })}\n`, everybody);
    // It may have ended meanwhile.
    if (this.#process !== undefined && this.#process.pid() !== pid) return;
    const run = { pid, ...this.#ports };
    this.#run = run;
    void this.#admit(run);
  }

  #ended(exit: Parameters<NonNullable<EmbeddedTemporalOptions['onExit']>>[0]): void {
    this.#run = undefined;
    this.#relays.frontend.shut();
    this.#relays.ui.shut();
    if ((this.#process?.exits() ?? 1) >= mostStarts) this.#starting?.gaveUp();
    this.#options.onExit?.(exit);
  }

  /** Lets connections through to it as soon as it has shown that it is ours, and can be worked with. */
  async #admit(run: ServerRun): Promise<void> {
    const target = { isAlive: async () => this.#run === run && (await identify(run.pid)) !== undefined };
    let toldAt = Date.now();
    while (this.#run === run) {
      try {
        await prepareAt(`${ip}:${run.port}`, this.#mark, this.#options.searchAttributes);
        if (this.#run !== run) return;
        this.#relays.frontend.passTo({ port: run.port, ...target });
        this.#relays.ui.passTo({ port: run.uiPort, ...target });
        this.#starting?.served();
        return;
      } catch (error) {
        this.#failure = error;
        if (Date.now() - toldAt > tellEveryMs) {
          toldAt = Date.now();
          this.#options.log.warn({ serverPid: run.pid, error: String(error) }, 'the Temporal server does not serve yet');
        }
        await pause(100);
      }
    }
  }
}

/** WAL with synchronous FULL: what was acknowledged survives a power cut, at 2.8 times the workflow starts of the default journal. */
function serverArguments(database: string, mark: string, { port, uiPort }: Omit<ServerRun, 'pid'>): string[] {
  return [
    ...['server', 'start-dev', '--db-filename', database],
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL', '--namespace', mark],
    ...['--ip', ip, '--port', String(port), '--ui-port', String(uiPort), '--log-level', 'warn', '--log-format', 'json'],
  ];
}

/** A server that a killed parent left on this file. It is ours if it is a dev server with this very file; nothing else is touched. */
async function stopLeftovers(database: string, log: Pick<Log, 'info' | 'warn' | 'error'>): Promise<void> {
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
      // It is not our child, so there is no event when it ends.
      await pause(50);
    }
  }
  if (await isRunning(target))
    throw new Error(`process ${target.pid} (${target.command}) does not end: stop it by hand and start again`);
}

async function isRunning(target: ProcessIdentity): Promise<boolean> {
  return (await identify(target.pid))?.started === target.started;
}

/** @throws where what answers is not the server with the mark, or cannot be worked with (yet) */
async function prepareAt(address: string, mark: string, wanted: readonly WantedAttribute[]): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: 2000, channelArgs: directly });
  try {
    // Before anything is changed there: it may be somebody else's.
    await requireNamespace(connection, mark);
    await prepareNamespace(connection, namespace, wanted);
  } finally {
    await connection.close();
  }
}
