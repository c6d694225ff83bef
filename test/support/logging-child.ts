import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './wait.ts';

const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** A process that does nothing but what a test says, and logs as the service does. */
export interface LoggingChild {
  /** What it has logged so far. */
  lines<Line>(): Line[];
  signal(signal: NodeJS.Signals): void;
  /** @returns the exit code */
  readonly ended: Promise<number | null>;
  kill(): Promise<void>;
}

/** @param imports paths begin at the checkout. @param act code that has `logging`. @returns once that has run */
export async function startLogging(imports: string, act: string): Promise<LoggingChild> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-logging-'));
  await writeFile(join(folder, 'landfall.yaml'), 'data: data\n');
  const source = `
    import { loadConfiguration } from 'src/config/load.ts';
    import { product } from 'src/product.ts';
    import { openLogging } from 'src/process/logging.ts';
    ${imports}
    const { configuration } = loadConfiguration('landfall.yaml', {}, product);
    const logging = openLogging(configuration, {});
    ${act}
    console.log('{"ready":true}');`;
  await writeFile(join(folder, 'logs.mts'), source.replaceAll("'src/", `'${checkout}src/`));
  const child = spawn(process.execPath, ['logs.mts'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const read = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const exited = once(child, 'exit');
  await eventually('the child to begin', async () => output.includes('{"ready":true}') || child.exitCode !== null);
  return {
    lines: <Line>() =>
      output
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Line),
    signal: (signal) => void child.kill(signal),
    ended: exited.then(() => child.exitCode),
    async kill() {
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true });
    },
  };
}
