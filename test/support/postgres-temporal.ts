import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { chown, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { postgresFolder, temporalServerPrograms } from '../../scripts/setup/temporal-server.mjs';
import { reservePort } from '../../src/platform/ports.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { testKey } from './temporal.ts';

const run = promisify(execFile);
const scripts = fileURLToPath(new URL('../../deploy/temporal/', import.meta.url));
const password = 'temporal';

/** Temporal's own server on a PostgreSQL, as docker-compose.yml has it, without containers. */
export interface PostgresTemporal {
  /** For Landfall and its command. */
  readonly env: Readonly<Record<string, string>>;
  /** Schema, server and namespace, by the scripts of deploy/temporal. */
  create(): Promise<void>;
  startServer(): Promise<void>;
  stopServer(): Promise<void>;
  /** The database's folder is gone, and there is an empty one in its place. */
  loseDatabase(): Promise<void>;
  /** Runs lines of a document in the folder, with `docker compose exec` left out. */
  shell(lines: string): Promise<void>;
  stop(): Promise<void>;
}

export async function createPostgresTemporal(): Promise<PostgresTemporal> {
  // The user postgres cannot go into the folder that is for this run of tests alone.
  const folder = await mkdtemp(join(isRoot() ? '/tmp' : tmpdir(), 'landfall-postgres-'));
  const programs = temporalServerPrograms(process.env);
  const [postgresPort, port] = [await reservePort(), await smallPort()];
  const address = `127.0.0.1:${port}`;
  const temporalCli = findTool('temporal');
  if (temporalCli === undefined) throw new Error("expected Temporal's command: npm test sets it up");
  const path = [programs, postgresPrograms(), dirname(temporalCli), process.env.PATH].join(':');
  const own = { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: 'landfall', LANDFALL_KEY: testKey };
  const ofPostgres = { PGHOST: '127.0.0.1', PGPORT: String(postgresPort), PGPASSWORD: password };
  const ofSchema = { POSTGRES_SEEDS: '127.0.0.1', POSTGRES_USER: 'temporal', SQL_PASSWORD: password };
  const env = { ...process.env, ...own, ...ofPostgres, ...ofSchema, PATH: path };
  let postgres: ChildProcess | undefined;
  let server: ChildProcess | undefined;
  await writeFile(join(folder, 'server.yaml'), stringify(await serverSettings(port, postgresPort)));

  const shell = async (lines: string): Promise<void> => {
    const here = lines.replaceAll('docker compose exec -T postgresql ', '').replace(/^docker compose .*\n/gm, '');
    await run('sh', ['-ec', here], { cwd: folder, env, timeout: 90_000, maxBuffer: 16 * 1024 ** 2 });
  };
  const startPostgres = async (): Promise<void> => {
    postgres = await startDatabase(folder, postgresPort, path);
    await shell('until pg_isready --quiet --username temporal; do sleep 0.2; done');
  };
  const stopServer = async (): Promise<void> => {
    await ended(server, 'SIGTERM');
    server = undefined;
  };
  const startServer = async (untilReady: string): Promise<void> => {
    const log = await open(join(folder, 'server.log'), 'w');
    const words = ['--config-file', join(folder, 'server.yaml'), 'start'];
    server = spawn(join(programs, 'temporal-server'), words, { cwd: folder, env, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    await shell(untilReady).catch(async (error: unknown) => {
      throw new Error(`the server said: ${(await readFile(join(folder, 'server.log'), 'utf8')).slice(-3_000)}`, { cause: error });
    });
  };
  const stopPostgres = async (): Promise<void> => {
    await ended(postgres, 'SIGINT');
    await rm(join(folder, 'database'), { recursive: true, force: true });
  };
  await startPostgres();
  return {
    env: own,
    async create() {
      const text = await readFile(join(scripts, 'create-schema.sh'), 'utf8');
      const schema = (await run('go', ['list', '-m', '-f', '{{.Dir}}', 'go.temporal.io/server'], { cwd: moduleFolder })).stdout;
      await shell(text.replace('-p 5432', `-p ${postgresPort}`).replace('/etc/temporal', schema.trim()));
      await startServer(`sh ${join(scripts, 'create-namespace.sh')}`);
    },
    startServer: () =>
      startServer('until temporal operator namespace describe --namespace landfall >/dev/null 2>&1; do sleep 0.5; done'),
    stopServer,
    async loseDatabase() {
      await stopPostgres();
      await startPostgres();
    },
    shell,
    async stop() {
      await stopServer();
      await stopPostgres();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const isRoot = (): boolean => process.getuid?.() === 0;
const moduleFolder = fileURLToPath(new URL('../../scripts/setup/temporal-server/', import.meta.url));

/** Below 32768, where the system gives ports to nobody by itself: Temporal's schema has them as a smallint. */
async function smallPort(): Promise<number> {
  for (;;) {
    const server = createServer();
    const listening = new Promise<boolean>((resolve) => {
      server.once('listening', () => server.close(() => resolve(true))).once('error', () => resolve(false));
    });
    const port = randomInt(20_000, 32_000);
    server.listen(port, '127.0.0.1');
    if (await listening) return port;
  }
}

/** @throws Error where there are none */
function postgresPrograms(): string {
  const [newest] = readdirSync(postgresFolder).sort((a, b) => Number(b) - Number(a));
  return join(postgresFolder, newest ?? '', 'bin');
}

/** A new cluster in `folder`, of the user postgres where we are root: PostgreSQL refuses to run as root. */
async function startDatabase(folder: string, port: number, path: string): Promise<ChildProcess> {
  const data = join(folder, 'database');
  await mkdir(data);
  await writeFile(join(folder, 'password'), password);
  const id = async (flag: string) => Number((await run('id', [flag, 'postgres'])).stdout);
  const user = isRoot() ? { uid: await id('-u'), gid: await id('-g') } : {};
  if (user.uid !== undefined) for (const each of [folder, data]) await chown(each, user.uid, user.gid);
  const env = { PATH: path };
  const words = ['--pgdata', data, '--username', 'temporal', '--pwfile', join(folder, 'password'), '--auth', 'scram-sha-256'];
  await run('initdb', [...words, '--no-sync'], { env, cwd: folder, ...user });
  const settings = ['-c', `port=${port}`, '-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=${data}`];
  return spawn('postgres', ['-D', data, ...settings], { env, cwd: folder, stdio: 'ignore', ...user });
}

async function ended(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

async function serverSettings(port: number, postgresPort: number): Promise<object> {
  const store = (databaseName: string) => ({
    sql: {
      ...{ pluginName: 'postgres12', databaseName, connectAddr: `127.0.0.1:${postgresPort}`, connectProtocol: 'tcp' },
      ...{ user: 'temporal', password, maxConns: 20, maxIdleConns: 20, maxConnLifetime: '1h' },
    },
  });
  const service = async (grpcPort?: number) => ({
    rpc: { grpcPort: grpcPort ?? (await smallPort()), membershipPort: await smallPort(), bindOnLocalHost: true },
  });
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      ...{ defaultStore: 'default', visibilityStore: 'visibility', numHistoryShards: 4 },
      datastores: { default: store('temporal'), visibility: store('temporal_visibility') },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: {
      ...{ frontend: await service(port), matching: await service(), history: await service(), worker: await service() },
    },
    clusterMetadata: {
      ...{ enableGlobalNamespace: false, failoverVersionIncrement: 10 },
      ...{ masterClusterName: 'active', currentClusterName: 'active' },
      clusterInformation: { active: { enabled: true, initialFailoverVersion: 1, rpcAddress: `127.0.0.1:${port}` } },
    },
    dcRedirectionPolicy: { policy: 'noop' },
  };
}
