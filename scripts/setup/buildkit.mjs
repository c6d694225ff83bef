/**
 * A BuildKit of their own for tests, see test/support/buildkit.ts: daemon and client in the version that buildkit/go.mod pins, built once into
 * the cache folder; runc is that of the current engine.
 */
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../../src/platform/tools.mjs';
import { engine } from './current-engine.mjs';
import { areBuilt, buildPrograms, programsFolder } from './go-programs.mjs';
import { withLock } from './lock.mjs';

/** @typedef {Record<string, string | undefined>} Environment */

const buildkitVersion = '0.34.2';
const version = `github.com/moby/buildkit/version.Version=v${buildkitVersion}`;

/** @type {import('./go-programs.mjs').GoPrograms} */
const buildkit = Object.freeze({
  name: `buildkit-${buildkitVersion}`,
  module: fileURLToPath(new URL('buildkit', import.meta.url)),
  programs: ['buildctl', 'buildkitd'].map((name) => ({ name, from: `github.com/moby/buildkit/cmd/${name}`, version })),
});

const runc = engine.programs.filter(({ name }) => name === 'runc');

/** @param {Environment} env */
function hasBuildkit(env) {
  return areBuilt(programsFolder(buildkit, env), buildkit.programs) && areBuilt(programsFolder(engine, env), runc);
}

/**
 * Makes sure that it is built. Before tests run, because where they run may be no network.
 * @param {{ env: Environment, say: (line: string) => void }} context
 * @throws Error where it cannot be built, with what to do about it
 */
export async function obtainBuildkit({ env, say }) {
  if (hasBuildkit(env)) return;
  await withLock(cacheFolder(env), say, async () => {
    const who = 'the BuildKit of the tests';
    say(`building BuildKit ${buildkitVersion}, once; it takes about 5 minutes on two cores`);
    await buildPrograms(buildkit, { env, say, who });
    await buildPrograms(engine, { env, say, who }, runc);
  });
}

/**
 * Where its programs are.
 * @param {Environment} env
 * @returns {{ buildkit: string, runtime: string }} folders
 * @throws Error where one is missing, with what to do about it
 */
export function buildkitPrograms(env) {
  if (!hasBuildkit(env))
    throw new Error(
      'expected the programs of BuildKit, found them missing: `npm test -- test/builds/buildkit.test.ts` builds them',
    );
  return { buildkit: programsFolder(buildkit, env), runtime: programsFolder(engine, env) };
}
