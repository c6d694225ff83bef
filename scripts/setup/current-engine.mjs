/**
 * Docker 29 as people install it today, built once into the cache folder: its dockerd, containerd, runc, Compose and buildx, in the versions
 * that engine/go.mod pins and engine/go.sum verifies.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, findOnPath } from '../../src/platform/tools.mjs';
import { withLock } from './lock.mjs';
import { hasApt, isRoot, runSlowly, SetUpFailure } from './machine.mjs';
import { installPackages, intoCache } from './obtain.mjs';

/** @typedef {{ env: Record<string, string | undefined>, say: (line: string) => void }} Context */
/** @typedef {{ name: string, from: string, version?: string, cgo?: true, tags?: string }} Program */

/** What the engine and Compose say of themselves. */
export const currentVersions = Object.freeze({ docker: '29.0.0', compose: '5.6.0' });

/** The module that pins all of it. */
export const engineModule = fileURLToPath(new URL('engine', import.meta.url));

/**
 * `version`: the Go variable, and what it is set to; built from its module, such a program would say `dev` or `library-import`.
 * @type {readonly Program[]}
 */
export const programs = Object.freeze([
  { name: 'containerd-shim-runc-v2', from: 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2' },
  { name: 'containerd', from: 'github.com/containerd/containerd/v2/cmd/containerd' },
  { name: 'runc', from: 'github.com/opencontainers/runc', cgo: true, tags: 'seccomp' },
  { name: 'docker-proxy', from: 'github.com/moby/moby/v2/cmd/docker-proxy' },
  {
    name: 'dockerd',
    from: 'github.com/moby/moby/v2/cmd/dockerd',
    version: `github.com/moby/moby/v2/dockerversion.Version=${currentVersions.docker}`,
  },
  {
    name: 'docker-compose',
    from: 'github.com/docker/compose/v5/cmd',
    version: `github.com/docker/compose/v5/internal.Version=${currentVersions.compose}`,
  },
  { name: 'docker-buildx', from: 'github.com/docker/buildx/cmd/buildx' },
]);

/**
 * Makes sure that the engine is built.
 * @param {Context} context
 * @returns {Promise<string>} the folder of its programs
 * @throws {SetUpFailure} where this machine cannot run it, or it cannot be built
 */
export async function obtainCurrentEngine(context) {
  requireMachine(context.env);
  const folder = currentEngineFolder(context.env);
  if (!isBuilt(folder)) await withLock(cacheFolder(context.env), context.say, () => buildAll(folder, context));
  return folder;
}

/**
 * Where its programs are: named after all that decides what is built, so that a new version never meets an old file.
 * @param {Record<string, string | undefined>} env
 */
export function currentEngineFolder(env) {
  const hash = createHash('sha256').update(JSON.stringify(programs));
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(engineModule, file)));
  return join(cacheFolder(env), `docker-engine-${currentVersions.docker}-${hash.digest('hex').slice(0, 12)}`);
}

/** @param {Record<string, string | undefined>} env */
function requireMachine(env) {
  const who = isRoot() ? 'root' : 'another user';
  if (process.platform !== 'linux' || !isRoot()) {
    throw new SetUpFailure(
      `--engine 29 expects to run as root on Linux, because the engine gets namespaces of its own; this is ${who} on ${process.platform}: ` +
        'leave --engine out to run on the engine that this machine has',
    );
  }
  const missing = ['unshare', 'mount', 'ip'].filter((name) => findOnPath(name, env) === undefined);
  if (missing.length === 0) return;
  throw new SetUpFailure(`--engine 29 needs ${missing.join(', ')} on PATH: install the packages util-linux, mount and iproute2`);
}

/** @param {string} folder */
function isBuilt(folder) {
  return programs.every(({ name }) => existsSync(join(folder, name)));
}

/**
 * One after the other, so that a build that was cut off goes on where it was.
 * @param {string} folder
 * @param {Context} context
 */
async function buildAll(folder, context) {
  if (isBuilt(folder)) return;
  if (findOnPath('go', context.env) === undefined) {
    throw new SetUpFailure('--engine 29 is built with Go, found none on PATH: install Go 1.26 or later (https://go.dev/dl/)');
  }
  await ensureSeccomp(context);
  context.say(
    `building Docker ${currentVersions.docker} and Compose ${currentVersions.compose}, once; it takes about 10 minutes`,
  );
  for (const program of programs) if (!existsSync(join(folder, program.name))) await build(program, folder, context);
}

/**
 * runc filters system calls by libseccomp, which is C.
 * @param {Context} context
 */
async function ensureSeccomp(context) {
  const packages = ['gcc', 'libc6-dev', 'libseccomp-dev', 'pkg-config'];
  if (existsSync('/usr/include/seccomp.h') && ['gcc', 'pkg-config'].every((name) => findOnPath(name, context.env))) return;
  if (!hasApt(context.env)) throw new SetUpFailure(`--engine 29 is built with ${packages.join(', ')}: install them`);
  await installPackages({ packages }, context);
}

/**
 * @param {Program} program
 * @param {string} folder
 * @param {Context} context
 */
async function build({ name, from, version, cgo, tags }, folder, { env, say }) {
  await intoCache(join(folder, name), { env, say }, async (temporary) => {
    const built = join(temporary, name);
    const linked = `-s -w${version === undefined ? '' : ` -X ${version}`}`;
    const options = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', linked, ...(tags ? ['-tags', tags] : [])];
    const own = { ...env, CGO_ENABLED: cgo ? '1' : '0', GOWORK: 'off' };
    const how = { env: own, say, cwd: engineModule };
    await runSlowly(`building ${name} with Go`, 'go', ['build', ...options, '-o', built, from], how);
    return built;
  });
}
