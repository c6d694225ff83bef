import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import type { Environment } from '../../domain/environment.ts';
import { codeOf } from '../../domain/errors.ts';
import { type DockerEndpoint, dockerEndpoint } from './endpoint.ts';

/**
 * A client of the Docker daemon that the environment or Docker's own configuration names. Says nothing to the daemon yet.
 * @throws Error if the settings name something unusable
 */
export function connectDocker(env: Environment): Docker {
  const docker = new Docker(clientOptions(dockerEndpoint(env, readText)));
  describeBriefly(docker);
  return docker;
}

/**
 * docker-modem describes for its debug output what goes with a request, each time and whether or not anybody reads it: all of it and all
 * that it leads to (`util.inspect` with `depth: null` in its `buildRequest`). An agent leads by its sockets to everything that the process
 * has, which took seconds, and meanwhile nothing else was done. Here it gets one line, and no key of a client's certificate.
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

/**
 * Every key is given, also those that stay empty: docker-modem fills what is absent from `DOCKER_HOST` and its kin, and would
 * override Docker's context with it.
 */
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
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
