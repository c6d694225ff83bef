import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm, stat, symlink } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { messageOf } from '../../domain/errors.ts';
import { unlessAbsent } from '../../platform/files/durable-file.ts';
import { claimAlone } from '../../platform/files/folder-owner.ts';
import { folderSize } from '../../platform/files/folder-size.ts';
import { makePrivate } from '../../platform/files/private-folder.ts';
import { reservePort } from '../../platform/ports.ts';
import type { ProcessLimits } from '../../platform/processes/program.ts';
import { RunningProgram } from '../../platform/processes/running-program.ts';
import type { LayerRecords } from './layer-records.ts';

export interface LayerServerOptions {
  readonly command: readonly string[];
  /** Trivy's cache folder, whose vulnerability database is served. */
  readonly cacheDir: string;
  /** Of that database, now. */
  readonly identity: () => Promise<string | undefined>;
  /** Of the server alone: Trivy keeps there what it found in layers. */
  readonly folder: string;
  /** More on the disk than this, and it is removed as soon as no scan uses it. */
  readonly mostBytes: number;
  /** Of what Trivy keeps there: they go when that has gone. */
  readonly records: Pick<LayerRecords, 'folder' | 'forget'>;
  readonly environment: Environment;
  readonly limits: ProcessLimits;
  /** Which versions may be the server. */
  readonly knownVersion: RegExp;
  /** It ends when nothing was scanned for as long. */
  readonly idleMs: number;
}

/** What a scan needs of the server. */
export interface ServedLayers {
  readonly url: string;
  /** Who has it may ask the server anything. */
  readonly token: string;
  readonly version: string;
}

/** A server that was started for one state of the vulnerability database, which it keeps mapped into its memory. */
interface StartedServer {
  readonly database: string;
  readonly started: Promise<ServedLayers>;
  /** Aborted with the reason when it ends unasked. */
  readonly broken: AbortController;
  program: RunningProgram | undefined;
  /** Gives the folder back. */
  release: (() => Promise<void>) | undefined;
  users: number;
  /** No scan begins with it any more. */
  isRetired: boolean;
  ending: Promise<void> | undefined;
  idle: NodeJS.Timeout | undefined;
}

export class ServerCannotStart extends Error {
  /** It never can: this is not the Trivy for it. Otherwise another scan may try again later. */
  readonly isFinal: boolean;

  constructor(cause: unknown) {
    super(`the Trivy server that remembers layers cannot be started: ${messageOf(cause)}`, { cause });
    this.isFinal = cause instanceof ForeignVersion;
  }
}

class ForeignVersion extends Error {}

/** It ended unasked, and what was made with it meanwhile does not count. */
export class ServerEnded extends Error {}

const startWithinMs = 60_000;
const askAgainMs = 20;
const hearWithinMs = 2_000;
/** Where Trivy keeps what it found, in its cache folder. */
const foundFolder = 'fanal';
const foundFile = 'fanal.db';

/**
 * One Trivy server for all scans of this process, that remembers layers on the disk. It starts with the first scan, and another one takes its
 * place for another database: scans that began with the old one end first.
 */
export class LayerServer {
  readonly #options: LayerServerOptions;
  #run: StartedServer | undefined;
  readonly #waiting = new Map<StartedServer, PromiseWithResolvers<void>>();

  constructor(options: LayerServerOptions) {
    this.#options = options;
  }

  /**
   * Does what needs the server; the signal that it gets is aborted, too, when the server ends.
   * @param database what its identity is now
   * @throws ServerCannotStart, ServerEnded
   */
  async use<Result>(
    database: string,
    signal: AbortSignal,
    act: (server: ServedLayers, signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const run = await this.#enter(database, signal);
    try {
      const server = await until(run.started, signal);
      const both = AbortSignal.any([signal, run.broken.signal]);
      both.throwIfAborted();
      // Whatever came of it: it may have met another program at that port, or nobody.
      const result = await act(server, both).catch(async (error: unknown) => {
        if (!signal.aborted) await hearOfEnd(run, server.url);
        run.broken.signal.throwIfAborted();
        throw error;
      });
      run.broken.signal.throwIfAborted();
      return result;
    } finally {
      await this.#leave(run);
    }
  }

  /** Returns once it has ended, which it does when no scan uses it any more. */
  async stop(): Promise<void> {
    if (this.#run === undefined) return;
    this.#run.isRetired = true;
    await this.#whenGone(this.#run);
  }

  async #enter(database: string, signal: AbortSignal): Promise<StartedServer> {
    for (;;) {
      signal.throwIfAborted();
      const run = this.#run ?? this.#begin(database);
      if (run.database === database && !run.isRetired) {
        run.users += 1;
        clearTimeout(run.idle);
        return run;
      }
      run.isRetired = true;
      await until(this.#whenGone(run), signal);
    }
  }

  #whenGone(run: StartedServer): Promise<void> {
    if (run.users === 0) return this.#end(run);
    const gone = this.#waiting.get(run) ?? Promise.withResolvers<void>();
    this.#waiting.set(run, gone);
    return gone.promise;
  }

  async #leave(run: StartedServer): Promise<void> {
    run.users -= 1;
    if (!run.isRetired && (await this.#isTooLarge())) run.isRetired = true;
    if (run.users > 0) return;
    if (run.isRetired) return await this.#end(run);
    clearTimeout(run.idle);
    run.idle = setTimeout(() => void this.#end(run), this.#options.idleMs);
    run.idle.unref();
  }

  #end(run: StartedServer): Promise<void> {
    run.isRetired = true;
    clearTimeout(run.idle);
    run.ending ??= (async () => {
      await run.started.catch(() => undefined);
      await run.program?.stop();
      await run.release?.();
      if (this.#run === run) this.#run = undefined;
      this.#waiting.get(run)?.resolve();
      this.#waiting.delete(run);
    })();
    return run.ending;
  }

  #begin(database: string): StartedServer {
    const broken = new AbortController();
    const run: StartedServer = {
      ...{ database, broken, program: undefined, release: undefined },
      ...{ users: 0, isRetired: false, ending: undefined, idle: undefined },
      started: Promise.resolve().then(() => this.#start(run)),
    };
    // Whoever uses it hears of it.
    run.started.catch(() => {
      run.isRetired = true;
    });
    this.#run = run;
    return run;
  }

  async #start(run: StartedServer): Promise<ServedLayers> {
    const { folder, cacheDir } = this.#options;
    try {
      await makePrivate(folder);
      const { release, other } = await claimAlone(folder);
      if (other !== undefined) throw new Error(`${folder} is in use by another Landfall (${other}); give each a trivy.cacheDir`);
      run.release = release;
      await this.#shrink();
      // The database of all. Made anew, because the folder may have been moved here, or copied.
      await rm(join(folder, 'db'), { recursive: true, force: true });
      await symlink(relative(folder, join(cacheDir, 'db')), join(folder, 'db'));
      const served = await this.#serve(run);
      if ((await this.#options.identity()) === run.database) return served;
      throw new ServerEnded('the vulnerability database was replaced while the Trivy server started; it is scanned again');
    } catch (error) {
      await run.program?.stop();
      throw error instanceof ServerEnded ? error : new ServerCannotStart(error);
    }
  }

  async #serve(run: StartedServer): Promise<ServedLayers> {
    const { command, folder, environment, limits, knownVersion } = this.#options;
    const address = `127.0.0.1:${await reservePort()}`;
    const token = randomBytes(32).toString('hex');
    const words = ['server', '--listen', address, '--cache-dir', folder, '--skip-db-update', '--config', '/dev/null'];
    const program = await RunningProgram.start({
      command: [...command, ...words],
      directory: folder,
      // Go gives memory back before it meets the limit, where it can.
      environment: { ...environment, TRIVY_TOKEN: token, GOMEMLIMIT: String(Math.floor(limits.memoryBytes * 0.8)) },
      limits,
    });
    run.program = program;
    void program.ended.then((how) => {
      const message = `the Trivy server beside the worker ended by itself (${how}); it is scanned again`;
      if (run.ending === undefined) run.broken.abort(new ServerEnded(message));
      run.isRetired = true;
      if (run.users === 0) void this.#end(run);
    });
    const url = `http://${address}`;
    const version = await Promise.race([
      versionOf(url, run.broken.signal),
      program.ended.then((how) => Promise.reject(new Error(`it ended with ${how}`))),
    ]);
    if (knownVersion.test(version)) return { url, token, version };
    throw new ForeignVersion(`Trivy ${version} may know layers by other things than the versions that were looked into`);
  }

  /** Its own file alone: records of layers are few beside it, and are counted at each start. */
  async #isTooLarge(): Promise<boolean> {
    const stats = await stat(join(this.#options.folder, foundFolder, foundFile)).catch(unlessAbsent);
    return (stats?.blocks ?? 0) * 512 > this.#options.mostBytes;
  }

  /** Before it starts. The layers first: a record without its layer does no harm. */
  async #shrink(): Promise<void> {
    const { folder, records, mostBytes } = this.#options;
    const sizes = await Promise.all([join(folder, foundFolder), records.folder].map(folderSize));
    if (sizes.reduce((sum, size) => sum + size, 0) <= mostBytes) return;
    await rm(join(folder, foundFolder), { recursive: true, force: true });
    await records.forget();
  }
}

const versionSchema = z.object({ Version: z.string() });

/** Waits until it answers. @param ended aborted when it never will @returns its version */
async function versionOf(url: string, ended: AbortSignal): Promise<string> {
  const deadline = Date.now() + startWithinMs;
  for (;;) {
    try {
      const [answer] = await ask(`${url}/version`);
      if (answer.statusCode !== 200) throw new ForeignVersion(`it answered /version with ${answer.statusCode}`);
      return versionSchema.parse(JSON.parse(await text(answer))).Version;
    } catch (error) {
      if (error instanceof ForeignVersion || ended.aborted || Date.now() > deadline) throw error;
      await pause(askAgainMs);
    }
  }
}

/** The client of a server that ends may tell of it before the system does. */
async function hearOfEnd({ program }: StartedServer, url: string): Promise<void> {
  const over = new AbortController();
  const answers = ask(`${url}/version`).then(
    ([answer]) => answer.destroy(),
    () => program?.ended,
  );
  await Promise.race([answers, pause(hearWithinMs, undefined, { signal: over.signal }).catch(() => undefined)]);
  over.abort();
}

/** Never through a proxy, which would mean its own loopback. */
async function ask(url: string): Promise<[IncomingMessage]> {
  const asked = get(url, { agent: false, timeout: startWithinMs });
  asked.once('timeout', () => asked.destroy(new Error('it does not answer')));
  return (await once(asked, 'response')) as [IncomingMessage];
}

/** Rejects when the signal aborts; what was waited for goes on. */
async function until<Result>(awaited: Promise<Result>, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([awaited, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
