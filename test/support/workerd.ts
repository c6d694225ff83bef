import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** It has no types. */
const { default: workerd }: { readonly default: string } = createRequire(import.meta.url)('workerd');
const sources = fileURLToPath(new URL('../../examples/cloudflare/src/', import.meta.url));

/** The Worker of examples/cloudflare in Cloudflare's own runtime. */
export async function startWorkerd(settings: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-workerd-'));
  await cp(sources, folder, { recursive: true });
  const modules = (await readdir(folder)).sort().map((name) => `(name = "${name}", esModule = embed "${name}")`);
  const bindings = Object.entries(settings).map(([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`);
  await writeFile(join(folder, 'config.capnp'), configuration(modules, bindings));
  const child = spawn(workerd, ['serve', '--control-fd=3', 'config.capnp'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const said = text(child.stdio[2] as Readable);
  const listens = once(createInterface(child.stdio[3] as Readable), 'line');
  const ended = once(child, 'exit');
  const [line] = await Promise.race([listens, ended.then(async () => Promise.reject(new Error(await said)))]);
  const { port } = JSON.parse(String(line)) as { readonly port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    async stop(): Promise<void> {
      child.kill();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The first module is the one that is run, and modules find each other by their names. */
function configuration(modules: readonly string[], bindings: readonly string[]): string {
  const [main] = modules.filter((module) => module.includes('"index.js"'));
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), (name = "internet", network = (allow = ["public", "private"]))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [${[main, ...modules.filter((module) => module !== main)].join(', ')}],
  bindings = [${bindings.join(', ')}],
  compatibilityDate = "2025-09-01",
);
`;
}
