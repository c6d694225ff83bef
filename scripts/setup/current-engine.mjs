/**
 * Docker 29 as people install it today, built once into the cache folder: its dockerd, containerd, runc, Compose and buildx, in the versions
 * that engine/go.mod pins and engine/go.sum verifies.
 */
import { fileURLToPath } from 'node:url';
import { cacheFolder, findOnPath } from '../../src/platform/tools.mjs';
import { areBuilt, buildPrograms, programsFolder } from './go-programs.mjs';
import { withLock } from './lock.mjs';
import { isRoot, SetUpFailure } from './machine.mjs';

/** @typedef {{ env: Record<string, string | undefined>, say: (line: string) => void }} Context */

/** What the engine and Compose say of themselves. */
export const currentVersions = Object.freeze({ docker: '29.0.0', compose: '5.6.0' });

/** The module that pins all of it. */
export const engineModule = fileURLToPath(new URL('engine', import.meta.url));

/** @type {readonly import('./go-programs.mjs').Program[]} */
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

/** @type {import('./go-programs.mjs').GoPrograms} */
export const engine = Object.freeze({ name: `docker-engine-${currentVersions.docker}`, module: engineModule, programs });

/**
 * Makes sure that the engine is built.
 * @param {Context} context
 * @returns {Promise<string>} the folder of its programs
 * @throws {SetUpFailure} where this machine cannot run it, or it cannot be built
 */
export async function obtainCurrentEngine(context) {
  requireMachine(context.env);
  const folder = programsFolder(engine, context.env);
  if (!areBuilt(folder, programs)) await withLock(cacheFolder(context.env), context.say, () => buildAll(context));
  return folder;
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

/** @param {Context} context */
async function buildAll(context) {
  // Another set-up may have done it meanwhile.
  if (areBuilt(programsFolder(engine, context.env), programs)) return;
  context.say(
    `building Docker ${currentVersions.docker} and Compose ${currentVersions.compose}, once; it takes about 10 minutes`,
  );
  await buildPrograms(engine, { ...context, who: '--engine 29' });
}
