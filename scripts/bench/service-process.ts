import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../src/platform/tools.mjs';
import { builtDist, serviceProgram } from '../setup/build.mjs';

/** The service in a folder of its own, with a Temporal server on a new database. */
export interface ServiceProcess {
  readonly pid: number;
  readonly temporalPid: number;
  readonly folder: string;
  /** Until it served. */
  readonly tookMs: number;
  /** @throws where it ended with anything but 0 */
  stop(): Promise<void>;
}

const configuration = `
listen: { webhooks: "127.0.0.1:0", operators: "127.0.0.1:0" }
search: "off"
services: [{ image: registry.example.test/team/app }]
`;

/** @param program what Node is to run @returns once it serves */
export async function startServiceProcess(program: string): Promise<ServiceProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-service-'));
  await writeFile(join(folder, 'landfall.yaml'), configuration);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [program], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let output = '';
  const serves = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
      if (output.includes('Landfall serves')) resolve();
    });
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    const [code] = await exited;
    await rm(folder, { recursive: true });
    if (code !== 0) throw new Error(`expected Landfall to serve and to end with 0, found ${code}:\n${output}`);
  };
  await Promise.race([serves, exited.then(stop)]);
  const tookMs = performance.now() - startedAt;
  const { pid: temporalPid } = JSON.parse(await readFile(join(folder, 'data/temporal.json'), 'utf8')) as { pid: number };
  return { pid: child.pid ?? 0, temporalPid, folder, tookMs, stop };
}

/** What ships: the build outside of node_modules, where Node treats it as a package, with the launcher of the command. */
export interface ShippedCopy {
  readonly service: string;
  readonly command: string;
  remove(): Promise<void>;
}

/** Always at the same place, by whose name Node finds what it has compiled before. @param root the checkout, built */
export async function copyShipped(root: string): Promise<ShippedCopy> {
  const built = builtDist(root);
  if (built === undefined) throw new Error('expected the service to be built');
  const name = createHash('sha256').update(root).digest('hex').slice(0, 12);
  const folder = join(cacheFolder(), `shipped-${name}`);
  await rm(folder, { recursive: true, force: true });
  await cp(built, join(folder, 'dist'), { recursive: true });
  for (const part of ['bin', 'package.json']) await cp(join(root, part), join(folder, part), { recursive: true });
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  return {
    service: join(folder, 'dist', serviceProgram),
    command: join(folder, 'bin/landfall.mjs'),
    remove: () => rm(folder, { recursive: true }),
  };
}
