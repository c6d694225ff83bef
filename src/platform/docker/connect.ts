import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { join, posix } from 'node:path';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { codeOf } from '../../domain/errors.ts';
import { isMissing, statusOf } from './errors.ts';

/** Where Docker listens. */
export type DockerEndpoint =
  /** A Unix socket or a Windows pipe: the first of these paths that exists. */
  | { readonly kind: 'socket'; readonly paths: readonly string[] }
  /** `tls` is the folder that holds `ca.pem`, `cert.pem` and `key.pem`. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: string };

/** Where this worker is: on the daemon's host, or in a container of that daemon, where this host's loopback is none of its. */
export type HostReach = 'loopback' | 'network';

const pipe = '//./pipe/docker_engine';
const systemSocket = '/var/run/docker.sock';
/** A daemon that is going down under systemd is asked, and does not answer. */
const answerWithinMs = 5_000;

const dockerConfig = z.object({ currentContext: z.string() });
const contextMeta = z.object({ Endpoints: z.object({ docker: z.object({ Host: z.string() }) }) });

/** Of the daemon that the environment or Docker's own settings name; says nothing to it yet. @throws Error for unusable settings */
export function connectDocker(env: Environment): Docker {
  const docker = new Docker(clientOptions(dockerEndpoint(env)));
  describeBriefly(docker);
  return docker;
}

/**
 * docker-modem describes for its debug output all that goes with a request (`util.inspect` with `depth: null` in `buildRequest`). An
 * agent leads by its sockets to everything that the process has: that took seconds. Here it gets one line, and no key of a certificate.
 */
function describeBriefly({ modem }: { readonly modem: object }): void {
  const original: unknown = Reflect.get(modem, 'buildRequest');
  if (typeof original !== 'function') throw new Error('expected docker-modem to have buildRequest, found another version of it');
  const buildRequest = function (
    this: unknown,
    options: { readonly method?: string; readonly path?: string },
    ...more: unknown[]
  ) {
    Object.defineProperty(options, inspect.custom, { value: () => `${options.method} ${options.path}` });
    Reflect.apply(original, this, [options, ...more]);
  };
  Object.assign(modem, { buildRequest });
}

/** Also what stays empty is given: docker-modem fills what is absent from `DOCKER_HOST` and its kin, and would override a context. */
function clientOptions(endpoint: DockerEndpoint): Docker.DockerOptions {
  const nothing = { host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined, socketPath: undefined };
  if (endpoint.kind === 'socket') {
    return { ...nothing, protocol: 'http', socketPath: endpoint.paths.find(existsSync) ?? endpoint.paths[0] };
  }
  const { host, port, tls } = endpoint;
  if (tls === undefined) return { ...nothing, protocol: 'http', host, port };
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readFileSync(join(tls, name)));
  return { ...nothing, protocol: 'https', host, port, ca, cert, key };
}

/** The text of a file, or undefined if there is none. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/**
 * Finds Docker as its own command does: `DOCKER_HOST`, else the context that `DOCKER_CONTEXT` or `docker context use` chose (Docker
 * Desktop, Colima and Rancher Desktop each set one), else the usual sockets.
 * @throws Error that names the setting, if it says something that Landfall cannot use
 */
export function dockerEndpoint(env: Environment, read = readText): DockerEndpoint {
  const home = env.HOME ?? env.USERPROFILE ?? '';
  const folder = env.DOCKER_CONFIG || posix.join(home, '.docker');
  if (env.DOCKER_HOST) {
    const tls = env.DOCKER_TLS_VERIFY || env.DOCKER_TLS ? env.DOCKER_CERT_PATH || folder : undefined;
    return parseHost(env.DOCKER_HOST, 'DOCKER_HOST', tls);
  }
  const config = posix.join(folder, 'config.json');
  const context = env.DOCKER_CONTEXT || dockerConfig.safeParse(parseJson(config, read(config))).data?.currentContext;
  if (context && context !== 'default') return contextEndpoint(folder, context, read);
  if (env.OS === 'Windows_NT') return { kind: 'socket', paths: [pipe] };
  return { kind: 'socket', paths: [systemSocket, posix.join(home, '.docker/run/docker.sock')] };
}

/** @param tls the folder of certificates, where TLS is wanted */
function parseHost(text: string, setting: string, tls: string | undefined): DockerEndpoint {
  const [, scheme = 'tcp', rest = ''] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(text) ?? [];
  if (scheme === 'unix') return { kind: 'socket', paths: [rest || systemSocket] };
  if (scheme === 'npipe') return { kind: 'socket', paths: [rest || pipe] };
  if (scheme === 'ssh') {
    throw new Error(
      `${setting} is '${text}', but Landfall does not speak SSH to Docker: forward the socket ` +
        `(ssh -L /tmp/docker.sock:${systemSocket} HOST) and set DOCKER_HOST=unix:///tmp/docker.sock`,
    );
  }
  const address = URL.canParse(`http://${rest}`) ? new URL(`http://${rest}`) : undefined;
  if (!['tcp', 'http', 'https'].includes(scheme) || address === undefined) {
    throw new Error(`${setting} is '${text}', expected unix:///PATH, tcp://HOST:PORT or npipe:////./pipe/NAME: correct it`);
  }
  const host = address.hostname.replace(/^\[|\]$/g, '');
  const port = Number(address.port) || (tls === undefined ? 2375 : 2376);
  return { kind: 'tcp', host, port, ...(tls !== undefined && { tls }) };
}

/** Docker keeps each context in a folder named after the SHA-256 of the context's name. */
function contextEndpoint(folder: string, context: string, read: typeof readText): DockerEndpoint {
  const id = createHash('sha256').update(context).digest('hex');
  const path = posix.join(folder, 'contexts/meta', id, 'meta.json');
  const meta = parseJson(path, read(path));
  if (meta === undefined) {
    throw new Error(
      `Docker's context is '${context}', but there is no ${path}: choose one of 'docker context ls' with 'docker context use NAME'`,
    );
  }
  const host = contextMeta.safeParse(meta).data?.Endpoints.docker.Host;
  if (host === undefined) throw new Error(`expected Endpoints.docker.Host in ${path}: make the context '${context}' anew`);
  const certificates = posix.join(folder, 'contexts/tls', id, 'docker');
  const usesTls = read(posix.join(certificates, 'ca.pem')) !== undefined;
  return parseHost(host, `Host of Docker's context '${context}'`, usesTls ? certificates : undefined);
}

/** Undefined for a file that is not there. */
function parseJson(path: string, text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch (error) {
    throw new Error(`expected JSON in ${path}: correct it`, { cause: error });
  }
}

/**
 * The id of the container that this process runs in, or undefined on a host. Docker and Podman mount a container's own files over its /etc; a
 * host that runs containers has them elsewhere. @param read reads /proc/self/mountinfo, which only Linux has
 */
export function ownContainer(read: typeof readText): string | undefined {
  for (const line of (read('/proc/self/mountinfo') ?? '').split('\n')) {
    const [, , , root = '', mountPoint = ''] = line.split(' ');
    if (!['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'].includes(mountPoint)) continue;
    const [, id] = /containers\/([0-9a-f]{64})\//.exec(root) ?? [];
    if (id !== undefined) return id;
  }
  return undefined;
}

/** How a worker reaches the containers of this daemon: by network only if it is itself a container, `ownContainer`, of the same daemon. */
export async function workerReach(
  docker: Docker,
  read = readText,
): Promise<{ readonly hostReach: HostReach; readonly ownContainer?: string }> {
  const id = ownContainer(read);
  if (id === undefined) return { hostReach: 'loopback' };
  try {
    await docker.getContainer(id).inspect();
  } catch (error) {
    if (isMissing(error)) return { hostReach: 'loopback' };
    // Docker is down, or not there for this worker. It may come: then it is most likely the one that runs us.
    if (statusOf(error) !== undefined) throw error;
  }
  return { hostReach: 'network', ownContainer: id };
}

/** Whether this process sees a network interface: those of a daemon in a virtual machine (Docker Desktop) are not on this host. */
export function hasInterface(name: string, read = readText): boolean {
  // Not os.networkInterfaces(): it leaves a bridge out while nothing is plugged into it.
  return (read('/proc/net/dev') ?? '').split('\n').some((line) => line.trimStart().startsWith(`${name}:`));
}

/**
 * A daemon that shuts down stops all containers, and still answers over the connections that it has: what it says of a container then is no
 * verdict on its image. @throws Error if Docker takes no new connection
 */
export async function requireAlive(docker: Docker): Promise<void> {
  const modem: object = docker.modem;
  const isTls = 'protocol' in modem && modem.protocol === 'https';
  const agent = isTls ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const anew = new Docker();
  anew.modem = Object.assign(Object.create(Object.getPrototypeOf(modem)), modem, { agent, timeout: answerWithinMs });
  await anew.ping().catch((cause: unknown) => {
    throw new Error('Docker is being stopped or restarted, and its containers with it: it is tried again once Docker is back', {
      cause,
    });
  });
}
