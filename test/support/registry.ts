import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { reservePort } from '../../src/platform/ports.ts';
import { findTool } from '../../src/platform/tools.mjs';

/** The one account of a registry that is started with `basicAuth`. */
export const registryAccount = { user: 'landfall', password: 'let-me-in' } as const;
/** bcrypt of the password above: the registry takes no other hash, and Node has no bcrypt. */
const passwordHash = '$2y$05$abcdefghijklmnopqrstuu3Jd./u/rH1RxB6auX5v7gLP6uWhKCgG';

export interface RegistryOptions {
  /** Where push notifications go. A header's values are sent as they are: `{ Authorization: ['Bearer …'] }`. */
  readonly notifications?: { readonly url: string; readonly headers?: Readonly<Record<string, readonly string[]>> };
  /** Asks for `registryAccount`. */
  readonly basicAuth?: boolean;
  /** Asks for tokens of a token server: see token-server.ts. */
  readonly tokenAuth?: TokenAuth;
  /** To start again where a stopped registry was: its folder and its port. */
  readonly folder?: string;
  readonly port?: number;
}

export interface TokenAuth {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** PEM: the certificates whose keys sign tokens. */
  readonly certificate: string;
}

/** What is needed to push to a registry: see images.ts. */
export interface RegistryEndpoint {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Value of the Authorization header, where it asks for one. */
  readonly authorization?: string;
}

export interface Registry extends RegistryEndpoint {
  readonly port: number;
  /** What it stores; removed by `stop`, unless it was given. */
  readonly folder: string;
  /** What it has logged so far, one line an entry. */
  readonly log: readonly string[];
  stop(): Promise<void>;
}

/** A real distribution registry on a free loopback port: `docker-registry` from PATH, else `registry:2` in Docker. */
export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'landfall-registry-')));
  const settings = await mkdtemp(join(tmpdir(), 'landfall-registry-settings-'));
  const place = await findPlace(options.port);
  await writeSettings(place, settings, folder, options);
  const log: string[] = [];
  const child = serve(place, settings, folder);
  // A test process that ends early leaves no registry behind.
  const killAtExit = () => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const port = await listeningPort(child, log);
  const credentials = Buffer.from(`${registryAccount.user}:${registryAccount.password}`).toString('base64');
  return {
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    ...(options.basicAuth ? { authorization: `Basic ${credentials}` } : {}),
    port,
    folder,
    log,
    async stop() {
      process.off('exit', killAtExit);
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit');
        child.kill('SIGTERM');
        await exited;
      }
      await rm(settings, { recursive: true, force: true });
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Where the registry runs: a program of this machine takes a free port itself (0), a container is given one. */
type Place =
  | { readonly kind: 'program'; readonly path: string; readonly port: number }
  | { readonly kind: 'container'; readonly docker: string; readonly port: number };

async function findPlace(port: number | undefined): Promise<Place> {
  const path = findTool('docker-registry');
  if (path !== undefined) return { kind: 'program', path, port: port ?? 0 };
  const docker = findTool('docker');
  if (docker !== undefined) return { kind: 'container', docker, port: port ?? (await reservePort()) };
  throw new Error(
    'expected docker-registry (Debian package docker-registry) or docker on PATH, found neither; npm test installs them',
  );
}

/** The registry reads YAML, and JSON is YAML. */
async function writeSettings(place: Place, settings: string, folder: string, options: RegistryOptions): Promise<void> {
  const passwords = join(settings, 'htpasswd');
  const certificates = join(settings, 'token.pem');
  if (options.basicAuth) await writeFile(passwords, `${registryAccount.user}:${passwordHash}\n`);
  if (options.tokenAuth) await writeFile(certificates, options.tokenAuth.certificate);
  const { notifications, tokenAuth } = options;
  const configuration = {
    version: '0.1',
    log: { level: 'info', formatter: 'json', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: folder }, delete: { enabled: true } },
    http: { addr: place.kind === 'program' ? `127.0.0.1:${place.port}` : `:${place.port}`, secret: 'only for tests' },
    ...(options.basicAuth ? { auth: { htpasswd: { realm: 'Landfall tests', path: passwords } } } : {}),
    ...(tokenAuth
      ? {
          auth: {
            token: { realm: tokenAuth.realm, service: tokenAuth.service, issuer: tokenAuth.issuer, rootcertbundle: certificates },
          },
        }
      : {}),
    ...(notifications
      ? {
          notifications: {
            endpoints: [
              {
                name: 'landfall',
                url:
                  place.kind === 'program' ? notifications.url : notifications.url.replace('127.0.0.1', 'host.docker.internal'),
                headers: notifications.headers ?? {},
                timeout: '5s',
                threshold: 3,
                backoff: '500ms',
              },
            ],
          },
        }
      : {}),
  };
  await writeFile(join(settings, 'config.yml'), JSON.stringify(configuration, null, 2));
}

function serve(place: Place, settings: string, folder: string): ChildProcess {
  const configuration = join(settings, 'config.yml');
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
  if (place.kind === 'program') return spawn(place.path, ['serve', configuration], { stdio });
  const port = ['--publish', `127.0.0.1:${place.port}:${place.port}`, '--add-host', 'host.docker.internal:host-gateway'];
  const volumes = [settings, folder].flatMap((path) => ['--volume', `${path}:${path}`]);
  return spawn(place.docker, ['run', '--rm', ...port, ...volumes, 'registry:2', 'serve', configuration], { stdio });
}

/** Waits for the line in which the registry says where it listens. */
async function listeningPort(child: ChildProcess, log: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the registry ended with ${code}: ${log.slice(-5).join('\n')}`)));
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        log.push(line);
        const listening = /listening on [^"]*:(\d+)/.exec(line);
        if (listening) resolve(Number(listening[1]));
      });
    }
  });
}
