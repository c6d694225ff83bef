import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtService } from '../setup/build.mjs';
import { type Aim, median } from './report.ts';

/** How long the service took until it served, with a Temporal server of its own in a new folder. */
export interface StartRound {
  readonly cloneMs: number;
  readonly buildMs: number;
}

/** @param root the checkout, built. One more round comes first and is not counted: it bundles the workflows, and compiles. */
export async function measureStarts(root: string, rounds: number): Promise<StartRound[]> {
  const built = builtService(root);
  if (built === undefined) throw new Error('expected the service to be built');
  const measured: StartRound[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const cloneMs = await startOnce([join(root, 'worker.ts')]);
    const buildMs = await startOnce(['--enable-source-maps', built]);
    if (round > 0) measured.push({ cloneMs, buildMs });
  }
  return measured;
}

async function startOnce(program: readonly string[]): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-start-'));
  try {
    await writeFile(join(folder, 'landfall.yaml'), 'listen: { webhooks: "127.0.0.1:0", operators: "127.0.0.1:0" }\n');
    const startedAt = performance.now();
    const child = spawn(process.execPath, program, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let output = '';
    for await (const chunk of child.stdout) {
      output += String(chunk);
      if (output.includes('Landfall serves')) break;
    }
    const tookMs = performance.now() - startedAt;
    child.kill('SIGTERM');
    const [code] = await exited;
    if (code !== 0) throw new Error(`expected Landfall to serve and to end with 0, found ${code}:\n${output}`);
    return tookMs;
  } finally {
    await rm(folder, { recursive: true });
  }
}

export function startAims(rounds: readonly StartRound[]): Aim[] {
  const secondsOf = (of: (round: StartRound) => number) => median(rounds.map(of)) / 1_000;
  return [
    { id: 'start-clone', what: 'seconds until it serves, from a clone', atMost: 5, found: secondsOf(({ cloneMs }) => cloneMs) },
    { id: 'start-build', what: 'seconds until it serves, from the build', atMost: 3, found: secondsOf(({ buildMs }) => buildMs) },
  ];
}
