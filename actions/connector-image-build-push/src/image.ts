import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuildProject } from '../../../src/builds/project.ts';
import { docker, mustDocker } from './docker.ts';

/** What an image is built from. */
export interface BuildSource {
  /** The checkout. */
  readonly root: string;
  /** Of the connector. */
  readonly name: string;
  readonly project: BuildProject;
}

const platforms = ['linux/amd64', 'linux/arm64'];
const testMs = 120_000;

function buildArguments({ root, project }: BuildSource): string[] {
  const named = (option: string, values: Readonly<Record<string, string>>) =>
    Object.entries(values).flatMap(([name, value]) => [option, `${name}=${value}`]);
  return [
    ...['--file', join(root, project.dockerfile)],
    ...named('--build-arg', project.arguments),
    ...named('--label', project.labels),
    join(root, project.context),
  ];
}

/** For this machine alone, under a name that is pushed nowhere. @returns the name */
export async function buildHere(source: BuildSource): Promise<string> {
  const name = `landfall.local/${source.name}:test`;
  await mustDocker(['buildx', 'build', '--load', '--provenance=false', '--tag', name, ...buildArguments(source)]);
  return name;
}

/** `IMAGE spec`: it ends with 0, and says what it is. @throws Error with the end of what it said */
export async function testSpec(image: string): Promise<void> {
  const limits = ['--network', 'none', '--memory', '2g', '--pids-limit', '256', '--cap-drop', 'ALL'];
  const name = `landfall-spec-${process.pid}`;
  const { code, stdout } = await docker(['run', '--rm', '--name', name, ...limits, image, 'spec'], { timeoutMs: testMs });
  if (code === null) {
    await docker(['rm', '--force', name], { quiet: true });
    throw new Error(`expected 'spec' of the image to end within ${testMs / 1_000} s`);
  }
  if (code !== 0) throw new Error(`expected 'spec' of the image to exit with 0, found ${code}: ${lastLines(stdout)}`);
  if (!stdout.split('\n').some(isSpec))
    throw new Error(`expected 'spec' of the image to print a line of JSON of the type SPEC, found: ${lastLines(stdout)}`);
}

function isSpec(line: string): boolean {
  try {
    const found: unknown = JSON.parse(line);
    return typeof found === 'object' && found !== null && Reflect.get(found, 'type') === 'SPEC';
  } catch {
    return false;
  }
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-5).join('\n').slice(-1_000) || 'nothing';
}

/** Both platforms, with provenance and SBOM, under no tag but the first; then the others point to what was pushed. @returns its digest */
export async function pushAll(source: BuildSource, repository: string, [tag, ...others]: readonly string[]): Promise<string> {
  const builder = await builderFor();
  const file = join(tmpdir(), `landfall-build-${process.pid}.json`);
  try {
    const shown = ['--platform', platforms.join(','), '--push', '--provenance=mode=max', '--metadata-file', file];
    await mustDocker(['buildx', 'build', ...builder, ...shown, '--tag', `${repository}:${tag}`, ...buildArguments(source)]);
    const metadata: unknown = JSON.parse(await readFile(file, 'utf8'));
    const digest: unknown =
      typeof metadata === 'object' && metadata !== null ? Reflect.get(metadata, 'containerimage.digest') : undefined;
    if (typeof digest !== 'string') throw new Error('expected buildx to say the digest of what it pushed, found none');
    for (const other of others)
      await mustDocker([
        'buildx',
        'imagetools',
        'create',
        ...builder,
        '--tag',
        `${repository}:${other}`,
        `${repository}@${digest}`,
      ]);
    return digest;
  } finally {
    await rm(file, { force: true });
    if (builder.length > 0) await docker(['buildx', 'rm', builderName], { quiet: true });
  }
}

const builderName = `landfall-${process.pid}`;

/** An engine that keeps images in containerd's store builds for several platforms itself; any other one needs a builder beside it. */
async function builderFor(): Promise<string[]> {
  const status = await mustDocker(['info', '--format', '{{json .DriverStatus}}'], { quiet: true });
  const { stdout } = await docker(['buildx', 'inspect'], { quiet: true });
  if (status.includes('io.containerd.snapshotter') || !/^Driver:\s*docker$/m.test(stdout)) return [];
  await mustDocker(['buildx', 'create', '--name', builderName, '--driver', 'docker-container']);
  return ['--builder', builderName];
}
