/**
 * Programs that Go builds from a module of ours: its tool lines say what is wanted, and its go.sum verifies it. Each set has a folder in the
 * cache, named after all that decides what is built, so that a new version never meets an old file.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, findOnPath } from '../../src/platform/tools.mjs';
import { intoCache } from './cache.mjs';
import { hasApt, runSlowly, SetUpFailure } from './machine.mjs';
import { installPackages } from './packages.mjs';

/**
 * @typedef {{ env: Record<string, string | undefined>, say: (line: string) => void }} Context
 * @typedef {{ name: string, from: string, version?: string | readonly string[], cgo?: true, tags?: string }} Program
 *   `version`: Go variables, and what they are set to; built from its module, such a program would say `dev` or `library-import`
 * @typedef {{ name: string, module: string, programs: readonly Program[] }} GoPrograms `name`: as `docker-engine-29.0.0`; `module`: a folder
 */

/** What runc needs to be built: it filters system calls by libseccomp, which is C. */
export const seccompPackages = Object.freeze(['gcc', 'libc6-dev', 'libseccomp-dev', 'pkg-config']);

/**
 * @param {GoPrograms} set
 * @param {Record<string, string | undefined>} env
 */
export function programsFolder({ name, module, programs }, env) {
  const hash = createHash('sha256').update(JSON.stringify(programs));
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(module, file)));
  return join(cacheFolder(env), `${name}-${hash.digest('hex').slice(0, 12)}`);
}

/**
 * @param {string} folder
 * @param {readonly Program[]} programs
 */
export function areBuilt(folder, programs) {
  return programs.every(({ name }) => existsSync(join(folder, name)));
}

/**
 * Those that are not there, one after the other, so that a build that was cut off goes on where it was.
 * @param {GoPrograms} set
 * @param {Context & { who: string }} context `who` needs them, for the message where they cannot be built
 * @param {readonly Program[]} [wanted] of its programs; absent: all
 * @throws {SetUpFailure}
 */
export async function buildPrograms(set, { env, say, who }, wanted = set.programs) {
  const folder = programsFolder(set, env);
  const missing = wanted.filter(({ name }) => !existsSync(join(folder, name)));
  if (missing.length === 0) return;
  if (findOnPath('go', env) === undefined)
    throw new SetUpFailure(`${who} is built with Go, found none on PATH: install Go 1.26 or later (https://go.dev/dl/)`);
  if (missing.some(({ tags }) => tags === 'seccomp')) await ensureSeccomp({ env, say, who });
  for (const program of missing) await build(program, set.module, folder, { env, say });
}

/** @param {Record<string, string | undefined>} env */
export function canBuildSeccomp(env) {
  return existsSync('/usr/include/seccomp.h') && ['gcc', 'pkg-config'].every((name) => findOnPath(name, env));
}

/** @param {Context & { who: string }} context */
async function ensureSeccomp(context) {
  if (canBuildSeccomp(context.env)) return;
  if (!hasApt(context.env)) throw new SetUpFailure(`${context.who} is built with ${seccompPackages.join(', ')}: install them`);
  await installPackages({ packages: seccompPackages }, context);
}

/**
 * @param {Program} program
 * @param {string} module
 * @param {string} folder
 * @param {Context} context
 */
async function build({ name, from, version = [], cgo, tags }, module, folder, { env, say }) {
  await intoCache(join(folder, name), { env }, async (temporary) => {
    const built = join(temporary, name);
    const linked = ['-s', '-w', ...[version].flat().flatMap((each) => ['-X', each])].join(' ');
    const options = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', linked, ...(tags ? ['-tags', tags] : [])];
    const own = { ...env, CGO_ENABLED: cgo ? '1' : '0', GOWORK: 'off' };
    await runSlowly(`building ${name} with Go`, 'go', ['build', ...options, '-o', built, from], { env: own, say, cwd: module });
    return built;
  });
}
