import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtDist, serviceProgram, type Timing } from '../../scripts/setup/build.mjs';

export interface RunningLandfall {
  readonly pid: number;
  /** Everything it has printed so far. */
  readonly output: () => string;
  /** SIGKILL: no drain, no clean-up. */
  kill(): Promise<void>;
  /** SIGTERM: it drains. @returns the exit code */
  stop(): Promise<number | null>;
}

const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** The service as it ships where `npm test` has built it, and from the sources where these are newer, as in a run of mocha alone. */
function programOf(timing: Timing): readonly string[] {
  const built = builtDist(checkout, timing);
  if (built !== undefined) return [join(built, serviceProgram)];
  return [`${checkout}worker.ts`];
}

/**
 * The service as `npm start` runs it, in a folder with a `landfall.yaml`. Returns once it serves.
 * @param timing `quick`: a kill is noticed in 3 s, where what ships takes 10 s
 * @param program another one than this checkout's, such as an installed package's
 */
export async function startLandfall(
  folder: string,
  env: Readonly<Record<string, string>> = {},
  timing: Timing = 'shipped',
  program = programOf(timing),
): Promise<RunningLandfall> {
  const child = spawn(process.execPath, program, {
    cwd: folder,
    // What it asks at its start nobody has to answer here, or count.
    env: { ...process.env, LANDFALL_DOCTOR: 'off', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const exited = once(child, 'exit');
  const serves = new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      if (output.includes('Landfall serves')) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void exited.then(() => reject(new Error(`Landfall ended before it served:\n${output}`)));
  });
  await serves;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (isRunning(child)) child.kill(signal);
    await exited;
    return child.exitCode;
  };
  return {
    pid: child.pid ?? 0,
    output: () => output,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}
