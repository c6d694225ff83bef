import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildkitPrograms } from '../../scripts/setup/buildkit.mjs';

export interface BuildKit {
  readonly address: string;
  /** What finds its client. */
  readonly env: Readonly<Record<string, string>>;
  /** SIGTERM; what it has cached is gone with it. */
  stop(): Promise<void>;
}

/** A real BuildKit daemon with nothing cached, on a socket of its own. It pulls from registries on 127.0.0.1 without TLS, as Docker does. */
export async function startBuildKit(): Promise<BuildKit> {
  const programs = buildkitPrograms(process.env);
  const folder = await mkdtemp(join(tmpdir(), 'landfall-buildkit-'));
  const address = `unix://${join(folder, 'sock')}`;
  const path = `${programs.runtime}:${process.env.PATH}`;
  const worker = ['--oci-worker=true', '--containerd-worker=false', '--oci-worker-net=host'];
  const child = spawn(join(programs.buildkit, 'buildkitd'), ['--root', join(folder, 'root'), '--addr', address, ...worker], {
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  // A test process that ends early leaves none behind.
  const killAtExit = () => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  await untilServing(child);
  return {
    address,
    env: { PATH: process.env.PATH ?? '', HOME: folder, BUILDCTL: join(programs.buildkit, 'buildctl') },
    async stop() {
      process.off('exit', killAtExit);
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit');
        child.kill('SIGTERM');
        await exited;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilServing(child: ChildProcess): Promise<void> {
  const log: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`BuildKit ended with ${code}: ${log.slice(-5).join('\n')}`)));
    if (child.stderr === null) throw new Error('expected what BuildKit says');
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      if (line.includes('running server on')) resolve();
    });
  });
}
