import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { findTool } from '../../src/platform/tools.mjs';
import { eventually } from './wait.ts';

/** A Docker daemon of a test's own, beside the machine's, so that it can be restarted without taking it from anybody. */
export interface PrivateDocker {
  readonly docker: Docker;
  /** `unix:///...` */
  readonly host: string;
  /** As `systemctl restart docker` does it: containers stop, and those with a restart policy come back. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Needs root, as `dockerd` does. Networks of its containers reach no further than this machine. */
export async function startPrivateDocker(): Promise<PrivateDocker> {
  const dockerd = findTool('dockerd', process.env);
  if (dockerd === undefined) throw new Error('these tests need the program dockerd on PATH: run `node scripts/setup.mjs test`');
  const folder = await mkdtemp(join(tmpdir(), 'landfall-dockerd-'));
  const socket = join(folder, 'docker.sock');
  const docker = new Docker({ socketPath: socket });
  await mkdir(join(folder, 'data'));
  const bridge = await addBridge();
  let daemon: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const log = createWriteStream(join(folder, 'log'), { flags: 'a' });
    await once(log, 'open');
    const own = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'pid')];
    // Without rules of its own it cannot disturb those of the machine's daemon; published ports go through its proxy. With `--bridge=none`
    // it would delete the machine's bridge, docker0.
    const apart = ['--bridge', bridge, '--iptables=false', '--ip6tables=false', '--ip-masq=false'];
    daemon = spawn(dockerd, ['--host', `unix://${socket}`, ...own, ...apart], { stdio: ['ignore', log, log] });
    const started = daemon;
    await eventually(
      'the private Docker daemon to answer',
      async () => {
        if (started.exitCode !== null) throw new Error(`dockerd ended: ${await readFile(join(folder, 'log'), 'utf8')}`);
        return await docker.ping().catch(() => undefined);
      },
      60_000,
    );
  };
  const end = async (): Promise<void> => {
    const running = daemon;
    daemon = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const exited = once(running, 'exit');
    running.kill('SIGTERM');
    await exited;
  };
  await start();
  return {
    docker,
    host: `unix://${socket}`,
    async restart() {
      await end();
      await start();
    },
    async stop() {
      await end();
      await ip('link', 'delete', bridge);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A bridge of its own, in a network that documentation alone uses (RFC 5737). */
async function addBridge(): Promise<string> {
  const name = `lf${randomUUID().slice(0, 8)}`;
  await ip('link', 'add', name, 'type', 'bridge');
  await ip('address', 'add', '192.0.2.1/24', 'dev', name);
  await ip('link', 'set', name, 'up');
  return name;
}

async function ip(...words: string[]): Promise<void> {
  await promisify(execFile)('ip', words);
}
