/**
 * Where the programs are that Landfall runs beside itself. Plain JavaScript without dependencies, because set-up needs it before
 * `node_modules` exists.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/**
 * @typedef {'temporal'|'trivy'|'docker'|'dockerd'|'docker-compose'|'docker-buildx'|'buildctl'|'docker-registry'|'skopeo'|'git'|'busybox'|'openssl'|'chromium'} ToolName
 * @typedef {Record<string, string | undefined>} Environment
 */

/** What set-up puts into the cache folder, as `NAME-VERSION/NAME`: a new version never meets an old file. */
export const cachedVersions = Object.freeze({ temporal: '1.9.1', trivy: '0.76.0', 'docker-compose': '2.28.1' });

/** The last version of Temporal's CLI that Go can build by itself: what runs where nothing else is to be had. */
export const olderTemporal = '1.5.1';

/** @type {Readonly<Record<ToolName, string>>} */
const overrides = Object.freeze({
  temporal: 'TEMPORAL_CLI',
  trivy: 'TRIVY',
  docker: 'DOCKER_CLI',
  dockerd: 'DOCKERD',
  'docker-compose': 'DOCKER_COMPOSE',
  'docker-buildx': 'DOCKER_BUILDX',
  buildctl: 'BUILDCTL',
  'docker-registry': 'DOCKER_REGISTRY',
  skopeo: 'SKOPEO',
  git: 'GIT',
  busybox: 'BUSYBOX',
  openssl: 'OPENSSL',
  chromium: 'CHROMIUM',
});

/**
 * The folder, outside any checkout, that keeps downloaded tools: `LANDFALL_CACHE`, else `XDG_CACHE_HOME/landfall`, else the
 * platform's own place.
 * @param {Environment} [env]
 * @param {NodeJS.Platform} [platform]
 * @returns {string}
 */
export function cacheFolder(env = process.env, platform = process.platform) {
  if (env.LANDFALL_CACHE) return env.LANDFALL_CACHE;
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, 'landfall');
  const home = env.HOME || homedir();
  return platform === 'darwin' ? join(home, 'Library', 'Caches', 'landfall') : join(home, '.cache', 'landfall');
}

/**
 * Where Node keeps what it has compiled, for the next process: for `enableCompileCache`, or NODE_COMPILE_CACHE.
 * @param {Environment} [env]
 * @returns {string}
 */
export function compiledFolder(env = process.env) {
  return join(cacheFolder(env), 'compiled');
}

/**
 * Where set-up puts a tool.
 * @param {keyof typeof cachedVersions} name
 * @param {Environment} [env]
 * @param {string} [version]
 * @returns {string}
 */
export function cachedTool(name, env = process.env, version = cachedVersions[name]) {
  return join(cacheFolder(env), `${name}-${version}`, name);
}

/**
 * The path of a program: what the environment names (`TEMPORAL_CLI`, `TRIVY`, ...), else the first on `PATH` (or among Docker's
 * plugins), else what set-up put into the cache folder; undefined where there is none.
 * @param {ToolName} name
 * @param {Environment} [env]
 * @returns {string | undefined}
 * @throws {Error} where the environment names something that cannot be run: that is never silently replaced by another program
 */
export function findTool(name, env = process.env) {
  const named = env[overrides[name]];
  if (named) {
    if (isExecutable(named)) return named;
    throw new Error(`${overrides[name]} is '${named}', expected the path of an executable ${name}: correct it or unset it`);
  }
  const onPath = findOnPath(name, env);
  if (onPath !== undefined) return onPath;
  const plugin = isPlugin(name) ? pluginFiles(name, env).find(isExecutable) : undefined;
  if (plugin !== undefined) return plugin;
  if (name !== 'temporal' && name !== 'trivy' && name !== 'docker-compose') return undefined;
  const versions = [cachedVersions[name], ...(name === 'temporal' ? [olderTemporal] : [])];
  return versions.map((version) => cachedTool(name, env, version)).find(isExecutable);
}

/**
 * @param {string} name
 * @param {Environment} [env]
 * @returns {string | undefined}
 */
export function findOnPath(name, env = process.env) {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** @param {ToolName} name */
const isPlugin = (name) => name === 'docker-compose' || name === 'docker-buildx';

/**
 * Where Docker looks for a plugin. The plugins for Compose and buildx are whole programs too, so they need not be on `PATH`.
 * @param {ToolName} name
 * @param {Environment} env
 */
function pluginFiles(name, env) {
  const ownFolder = env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker');
  return [
    join(ownFolder, 'cli-plugins'),
    '/usr/local/lib/docker/cli-plugins',
    '/usr/local/libexec/docker/cli-plugins',
    '/usr/lib/docker/cli-plugins',
    '/usr/libexec/docker/cli-plugins',
    '/Applications/Docker.app/Contents/Resources/cli-plugins',
  ].map((folder) => join(folder, name));
}

/**
 * @param {string} path
 * @returns {boolean}
 */
export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch (error) {
    // Absent, or not for us to run: both mean "not here". Anything else (EIO, ELOOP) is a fault that should be seen.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return false;
    throw error;
  }
}
