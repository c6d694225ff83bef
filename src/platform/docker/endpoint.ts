import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { Environment } from '../../domain/environment.ts';

/** Where Docker listens. */
export type DockerEndpoint =
  /** A Unix socket or a Windows pipe: the first of these paths that exists. */
  | { readonly kind: 'socket'; readonly paths: readonly string[] }
  /** `tls` is the folder that holds `ca.pem`, `cert.pem` and `key.pem`. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: string };

/** The text of a file, or undefined if there is none. */
export type ReadText = (path: string) => string | undefined;

const pipe = '//./pipe/docker_engine';
const systemSocket = '/var/run/docker.sock';

/**
 * Finds Docker as its own command does: `DOCKER_HOST`, else the context that `DOCKER_CONTEXT` or `docker context use` chose (Docker
 * Desktop, Colima and Rancher Desktop each set one), else the usual sockets.
 * @throws Error that names the setting, if it says something that Landfall cannot use
 */
export function dockerEndpoint(env: Environment, readText: ReadText): DockerEndpoint {
  const home = env.HOME ?? env.USERPROFILE ?? '';
  const folder = env.DOCKER_CONFIG || posix.join(home, '.docker');
  if (env.DOCKER_HOST) {
    const tls = env.DOCKER_TLS_VERIFY || env.DOCKER_TLS ? env.DOCKER_CERT_PATH || folder : undefined;
    return parseHost(env.DOCKER_HOST, 'DOCKER_HOST', tls);
  }
  const context = env.DOCKER_CONTEXT || currentContext(folder, readText);
  if (context !== undefined && context !== 'default') return contextEndpoint(folder, context, readText);
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

function currentContext(folder: string, readText: ReadText): string | undefined {
  const path = posix.join(folder, 'config.json');
  const text = readText(path);
  if (text === undefined) return undefined;
  const name = property(parseJson(path, text), 'currentContext');
  return typeof name === 'string' && name !== '' ? name : undefined;
}

/** Docker keeps each context in a folder named after the SHA-256 of the context's name. */
function contextEndpoint(folder: string, context: string, readText: ReadText): DockerEndpoint {
  const id = createHash('sha256').update(context).digest('hex');
  const path = posix.join(folder, 'contexts/meta', id, 'meta.json');
  const text = readText(path);
  if (text === undefined) {
    throw new Error(
      `Docker's context is '${context}', but there is no ${path}: choose one of 'docker context ls' with 'docker context use NAME'`,
    );
  }
  const host = property(property(property(parseJson(path, text), 'Endpoints'), 'docker'), 'Host');
  if (typeof host !== 'string') throw new Error(`expected Endpoints.docker.Host in ${path}: make the context '${context}' anew`);
  const certificates = posix.join(folder, 'contexts/tls', id, 'docker');
  const usesTls = readText(posix.join(certificates, 'ca.pem')) !== undefined;
  return parseHost(host, `Host of Docker's context '${context}'`, usesTls ? certificates : undefined);
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`expected JSON in ${path}: correct it`, { cause: error });
  }
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;
}
