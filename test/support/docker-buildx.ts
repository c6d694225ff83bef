import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { engine } from '../../scripts/setup/current-engine.mjs';
import { programsFolder } from '../../scripts/setup/go-programs.mjs';
import { isExecutable } from '../../src/platform/tools.mjs';

const most = { maxBuffer: 64 * 1024 ** 2 };

/** Docker's buildx, as a program of its own. */
export function buildx(words: readonly string[], options: { readonly cwd?: string } = {}) {
  return promisify(execFile)(buildxProgram(), words, { ...options, ...most });
}

export function buildxProgram(): string {
  const plugins = ['/usr/libexec/docker/cli-plugins', '/usr/local/lib/docker/cli-plugins', programsFolder(engine, process.env)];
  const found = plugins.map((folder) => join(folder, 'docker-buildx')).find(isExecutable);
  if (found === undefined)
    throw new Error("these tests need Docker's buildx: install docker-buildx-plugin, or run 'npm test -- --engine 29' once");
  return found;
}
