import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../../domain/log.ts';
import { writeDurably } from '../files/durable-file.ts';
import { ownFolder } from '../files/folder-owner.ts';
import { makePrivate } from '../files/private-folder.ts';
import { findOwnLoopback, type PortChoice, reservePort } from '../ports.ts';
import { findProcesses, identify, type ProcessIdentity } from '../processes/identity.ts';
import { type Exit, Supervised } from '../processes/supervised.ts';
import { prepareNamespace, requireNamespace, type WantedAttribute } from './namespace.ts';
import { passingPage } from './page-relay.ts';
import { Relay, RelayServer } from './relay.ts';
import { type DatabaseNote, databaseFile, goBack, guardDatabase, readNote, versionOf, writeNote } from './version.ts';

export interface EmbeddedTemporalOptions {
  /** The data folder; it keeps `temporal.db`, `temporal.db.json`, `temporal.json`, `temporal.log`. Created if it is missing. */
  readonly folder: string;
  /** Path of the `temporal` command. */
  readonly command: string;
  /** Used as given, or refused if it is taken. Absent: that of the last time, 7233, or any, whichever is free first. */
  readonly port?: number;
  /** The same for the web UI; absent: that of the last time, 8233, or any. */
  readonly uiPort?: number;
  /** Host names by which people reach the web UI, besides those of loopback. It answers to no others. */
  readonly uiNames?: readonly string[];
  readonly searchAttributes: readonly WantedAttribute[];
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** What can be done while the server starts. */
  readonly meanwhile?: () => Promise<unknown>;
  /** The server ended without being asked to. It is restarted automatically, and keeps its ports. */
  readonly onExit?: (exit: Exit) => void;
}

const ip = '127.0.0.1';
/** What the server makes is for this user alone: its database has every plan, reason and log line. */
const umask = 0o077;
/** A name that no host can have: RFC 6761. */
const nobody = 'nobody.invalid';
/** A cold start takes a second or two; a loaded machine, or a large file after a crash, much longer. */
const startDeadlineMs = 60_000;
/** A server that ends while it starts may have lost a port to somebody; one that does so again and again has another reason. */
const mostStarts = 4;
const tellEveryMs = 10_000;
/** After a signal. */
const endWithinMs = 10_000;

/**
 * For connections to our own server: gRPC would send them through a proxy that `http_proxy` names, loopback or not. And it would wait for a
 * second after a connection that was refused, while the server is there after a third of that.
 */
const directly = {
  'grpc.enable_http_proxy': 0,
  'grpc.initial_reconnect_backoff_ms': 20,
  'grpc.max_reconnect_backoff_ms': 20,
} as const;

/**
 * Runs the Temporal dev server on a SQLite file: all that a single host needs. It has a process group of its own, so that Ctrl-C on a
 * terminal reaches only us and the server can stop last. A client that connects to `address` or `uiUrl` reaches this server or none, see
 * docs/decisions/0015-own-temporal-behind-a-relay.md.
 * @throws where another Landfall has the folder, a configured port is taken, the database is of a later Temporal, or it does not serve within
 *   a minute
 */
export async function startEmbeddedTemporal(options: EmbeddedTemporalOptions): Promise<EmbeddedTemporal> {
  const folder = resolve(options.folder);
  await makePrivate(folder);
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
  // What a killed parent left on this file is ours if it is a dev server with this very file; nothing else is touched.
  for (const leftover of await findProcesses(`server start-dev --db-filename ${join(folder, databaseFile)} `)) {
    log.warn({ serverPid: leftover.pid }, 'stopping the Temporal server that an earlier Landfall left running');
    await stopProcess(leftover);
  }
  const last = await readNote(folder);
  // Loading the client takes as long as the answer: 0.06 s of a start.
  const [version] = await Promise.all([versionOf(command, folder), import('./connection.ts')]);
  const made = await guardDatabase(folder, command, version, last, log);
  const copy = last?.untriedSince ?? made;
  const relays = await openRelays(options, last);
  const mark = last?.mark ?? `landfall-folder-${randomUUID().slice(-12)}`;
  const note = { mark, ...version, port: relays.frontend.port, uiPort: relays.ui.port };
  const isNew = last?.isNew === true || !existsSync(join(folder, databaseFile));
  const served = async () => {
    if (copy !== undefined || isNew) await writeNote(folder, note);
  };
  const server = new EmbeddedTemporal(options, relays, mark, { isNew, served }, giveBack);
  try {
    await writeNote(folder, { ...note, untriedSince: copy, isNew });
    await server.serve();
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
  return server;
}

type Relays = Awaited<ReturnType<typeof openRelays>>;

/** Bookmarks and scripts know the ports of the last time. */
async function openRelays({ port, uiPort, uiNames = [], log }: EmbeddedTemporalOptions, last?: DatabaseNote) {
  const uiIp = await findOwnLoopback();
  const choiceOf = (setting: string, configured: number | undefined, usual: number, before = usual): PortChoice => ({
    ...{ ip, setting, configured },
    preferred: [before, usual],
  });
  const tellOfMove = (what: string, relay: { readonly port: number }, { configured, preferred: [before] }: PortChoice) => {
    if (last !== undefined && configured === undefined && relay.port !== before)
      log.warn({ before, port: relay.port }, `something else listens at port ${before}: ${what} is at ${relay.port} from now on`);
  };
  const forFrontend = choiceOf('temporal.port', port, 7233, last?.port);
  const frontend = await Relay.open(new RelayServer(ip), forFrontend);
  tellOfMove('Temporal', frontend, forFrontend);
  try {
    const forPage = choiceOf('temporal.uiPort', uiPort, 8233, last?.uiPort);
    const page = new RelayServer(uiIp);
    const ui = await Relay.open(page, forPage, passingPage(page, uiNames));
    tellOfMove("Temporal's page", ui, forPage);
    return { uiIp, frontend, ui };
  } catch (error) {
    await frontend.close();
    throw error;
  }
}

interface DatabaseState {
  /** Nothing is lost with it: no server has served with it. */
  isNew: boolean;
  /** To be called before anybody can write to it. */
  readonly served: () => Promise<void>;
}

async function removeDatabase(folder: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) await rm(join(folder, `${databaseFile}${suffix}`), { force: true });
}

/** A server process of ours, from its start to its end. */
interface ServerRun {
  readonly pid: number;
  readonly port: number;
  readonly uiPort: number;
}

/** The server behind its relays: each process that runs it is reached once it has shown the mark, until it ends. */
export class EmbeddedTemporal {
  readonly address: string;
  readonly namespace = 'default';
  readonly uiUrl: string;
  readonly #options: EmbeddedTemporalOptions;
  readonly #relays: Relays;
  readonly #mark: string;
  readonly #database: DatabaseState;
  readonly #giveBack: () => Promise<void>;
  readonly #stateFile: string;
  #ports = { port: 0, uiPort: 0 };
  #process: Supervised | undefined;
  #run: ServerRun | undefined;
  #failure: unknown;
  #settle: ((serves: boolean) => void) | undefined;

  /** @param giveBack the data folder's */
  constructor(
    options: EmbeddedTemporalOptions,
    relays: Relays,
    mark: string,
    database: DatabaseState,
    giveBack: () => Promise<void>,
  ) {
    this.#options = options;
    this.#relays = relays;
    this.#mark = mark;
    this.#database = { ...database };
    this.#giveBack = giveBack;
    this.#stateFile = join(options.folder, 'temporal.json');
    this.address = `${ip}:${relays.frontend.port}`;
    this.uiUrl = `http://${ip}:${relays.ui.port}`;
  }

  /** Process id of the server that runs now; undefined between its death and its restart. */
  pid(): number | undefined {
    return this.#process?.pid();
  }

  /** Starts it; returns once it serves. */
  async serve(): Promise<void> {
    const settled = new Promise<boolean>((settle) => {
      this.#settle = settle;
    });
    this.#process = await Supervised.start({
      name: 'Temporal server',
      command: this.#options.command,
      arguments: () => this.#arguments(),
      // A clean environment: TEMPORAL_* variables and files in a home folder would change what the server does.
      env: { HOME: this.#options.folder },
      umask,
      logFile: join(this.#options.folder, 'temporal.log'),
      log: this.#options.log,
      onStart: (pid) => this.#started(pid),
      onExit: (exit) => this.#ended(exit),
    });
    const deadline = setTimeout(() => this.#settle?.(false), startDeadlineMs);
    const [serves] = await Promise.all([settled, this.#options.meanwhile?.()]);
    clearTimeout(deadline);
    if (serves) return;
    const printed = await this.#process.lastLines();
    throw new Error(`expected the Temporal server to serve at ${this.address}, but it did not. Its last lines:\n${printed}`, {
      cause: this.#failure,
    });
  }

  /** Stops the server and gives the folder back. Called last, after workers and connections. */
  async stop(): Promise<void> {
    this.#run = undefined;
    try {
      await this.#process?.stop();
      await Promise.all([this.#relays.frontend.close(), this.#relays.ui.close()]);
      await rm(this.#stateFile, { force: true });
    } finally {
      await this.#giveBack();
    }
  }

  /** Other ports at each start: clients do not know them, and a taken port may be why it failed the last time. */
  async #arguments(): Promise<string[]> {
    if (this.#database.isNew) await removeDatabase(this.#options.folder);
    const { uiIp } = this.#relays;
    this.#ports = { port: await reservePort(ip), uiPort: await reservePort(uiIp) };
    const { port, uiPort } = this.#ports;
    return [
      ...['server', 'start-dev', '--db-filename', join(this.#options.folder, databaseFile), '--namespace', this.#mark],
      // What was acknowledged survives a power cut, at 2.8 times the workflow starts of the default journal.
      ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'],
      ...['--ip', ip, '--port', String(port), '--ui-ip', uiIp, '--ui-port', String(uiPort)],
      // Its HTTP API, which nobody here uses and nothing switches off, would take orders from any page in a browser that finds its port.
      ...['--dynamic-config-value', `frontend.httpAllowedHosts=["${nobody}"]`],
      ...['--log-level', 'warn', '--log-format', 'json'],
    ];
  }

  async #started(pid: number): Promise<void> {
    const { address, namespace, uiUrl } = this;
    await writeDurably(this.#stateFile, `${JSON.stringify({ address, namespace, uiUrl, pid, mark: this.#mark })}\n`);
    // It may have ended meanwhile.
    if (this.#process !== undefined && this.#process.pid() !== pid) return;
    const run = { pid, ...this.#ports };
    this.#run = run;
    void this.#admit(run);
  }

  #ended(exit: Exit): void {
    this.#run = undefined;
    this.#relays.frontend.shut();
    this.#relays.ui.shut();
    if ((this.#process?.exits() ?? 1) >= mostStarts) this.#settle?.(false);
    this.#options.onExit?.(exit);
  }

  /** Lets connections through to it as soon as it has shown that it is ours, and can be worked with. */
  async #admit(run: ServerRun): Promise<void> {
    const target = { isAlive: async () => this.#run === run && (await identify(run.pid)) !== undefined };
    let toldAt = Date.now();
    while (this.#run === run) {
      try {
        await this.#prepare(run.port);
        if (this.#run !== run) return;
        await this.#database.served();
        this.#database.isNew = false;
        this.#relays.frontend.passTo({ port: run.port, ...target });
        this.#relays.ui.passTo({ port: run.uiPort, ...target });
        this.#settle?.(true);
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

  /** @throws where what answers is not the server with the mark, or cannot be worked with (yet) */
  async #prepare(port: number): Promise<void> {
    const { Connection } = await import('./connection.ts');
    const connection = await Connection.connect({
      address: `${ip}:${port}`,
      connectTimeout: 2000,
      channelArgs: directly,
    });
    try {
      // Before anything is changed there: it may be somebody else's.
      await requireNamespace(connection, this.#mark);
      await prepareNamespace(connection, this.namespace, this.#options.searchAttributes);
    } finally {
      await connection.close();
    }
  }
}

async function stopProcess(target: ProcessIdentity): Promise<void> {
  const isRunning = async () => (await identify(target.pid))?.started === target.started;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!(await isRunning())) return;
    process.kill(target.pid, signal);
    for (let waited = 0; waited < endWithinMs && (await isRunning()); waited += 50) {
      // It is not our child, so there is no event when it ends.
      await pause(50);
    }
  }
  if (await isRunning())
    throw new Error(`process ${target.pid} (${target.command}) does not end: stop it by hand and start again`);
}
