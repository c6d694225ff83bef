import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

interface StepOptions {
  readonly inputs: Readonly<Record<string, string>>;
  /** Beside PATH and what every runner sets. */
  readonly env?: Readonly<Record<string, string>>;
  /** The workspace. */
  readonly cwd: string;
}

export interface RanStep {
  readonly exitCode: number | null;
  readonly printed: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** What the summary of the job shows. */
  readonly summary: string;
}

export function actionFolder(name: string): string {
  return fileURLToPath(new URL(`../../actions/${name}/`, import.meta.url));
}

/** Runs an action's bundle as a runner does, with the defaults of its `action.yml`. */
export async function runAction(name: string, { inputs, env = {}, cwd }: StepOptions): Promise<RanStep> {
  const folder = actionFolder(name);
  const files = await mkdtemp(join(tmpdir(), 'landfall-step-'));
  try {
    const [output, summary] = [join(files, 'output'), join(files, 'summary')];
    for (const file of [output, summary]) await writeFile(file, '');
    const { inputs: declared } = parse(await readFile(join(folder, 'action.yml'), 'utf8')) as {
      inputs: Record<string, { default?: string }>;
    };
    const defaults = Object.entries(declared).map(([key, input]) => [key, input.default ?? '']);
    const all: Record<string, string> = { ...Object.fromEntries(defaults), ...inputs };
    const child = spawn(process.execPath, [join(folder, 'dist', 'index.js')], {
      cwd,
      env: {
        PATH: process.env.PATH,
        ...{ GITHUB_WORKSPACE: cwd, GITHUB_OUTPUT: output, GITHUB_STEP_SUMMARY: summary },
        ...Object.fromEntries(Object.entries(all).map(([key, value]) => [`INPUT_${key.toUpperCase()}`, value])),
        ...env,
      },
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    const [exitCode] = (await once(child, 'close')) as [number | null];
    return { exitCode, printed, outputs: outputsIn(await readFile(output, 'utf8')), summary: await readFile(summary, 'utf8') };
  } finally {
    await rm(files, { recursive: true, force: true });
  }
}

/** What the action tells of source-faker, wherever it was built: pushed as the version and as `latest`. */
export function toldOfFaker({
  image,
  base,
  digest,
}: {
  readonly image: string;
  readonly base: string;
  readonly digest: unknown;
}) {
  return {
    'connector-name': 'source-faker',
    'connector-type': 'python',
    'connector-dir': 'airbyte-integrations/connectors/source-faker',
    'base-image': base,
    'connector-version-tag': '6.2.1',
    'connector-image-name': `${image}:6.2.1`,
    'docker-tags': `${image}:6.2.1,${image}:latest`,
    'image-exists': 'false',
    'build-executed': 'true',
    'push-executed': 'true',
    digest,
  };
}

function outputsIn(written: string): Record<string, string> {
  const found = written.matchAll(/^(\S+?)<<(\S+)\n([\s\S]*?)\n\2$/gm);
  return Object.fromEntries([...found].map(([, name = '', , value = '']) => [name, value]));
}
