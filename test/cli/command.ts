import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { z } from 'zod';
import { jsonSchemas } from '../../src/cli/json-schemas.ts';
import { run } from '../../src/cli/main.ts';
import type { Kinds } from '../../src/config/kinds.ts';
import { diagnoseOutside, withRegistry } from '../../src/process/diagnosis.ts';
import { product } from '../../src/product.ts';
import { reachApi } from '../../src/remote/index.ts';

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const launcher = fileURLToPath(new URL('../../bin/landfall.mjs', import.meta.url));

/** Runs the `landfall` command as its users do: a process of its own. Its environment holds only what is given, and PATH. */
export async function landfall(
  words: readonly string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Promise<Ran> {
  const options = { cwd, env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env } };
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, [launcher, ...words], options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : error.code;
      if (typeof exitCode === 'number') resolve({ exitCode, stdout, stderr });
      else reject(error);
    });
  });
}

/** The same in this process, which saves a second each time. The operator is the user of the machine. */
export async function landfallHere(
  words: readonly string[],
  options: {
    cwd: string;
    env?: Record<string, string>;
    kinds?: Kinds;
    /** Absent: nobody sits at a terminal. */
    confirm?: (question: string) => Promise<boolean>;
  },
): Promise<Ran> {
  const { cwd, env = {}, kinds = product, confirm } = options;
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const exitCode = await run(words, {
    loadKinds: async () => kinds,
    startLocalWork: () => Promise.reject(new Error('only a process of its own does work')),
    startService: () => Promise.reject(new Error('only a process of its own is the service')),
    diagnoseOutside,
    withRegistry,
    reachApi,
    command: 'landfall',
    env: { LANDFALL_CONFIG: join(cwd, 'landfall.yaml'), ...env },
    operator: userInfo().username,
    print: (line) => stdout.push(`${line}\n`),
    warn: (line) => stderr.push(`${line}\n`),
    ...(confirm !== undefined && { confirm }),
  });
  return { exitCode, stdout: stdout.join(''), stderr: stderr.join('') };
}

/** As a process of its own, in a pipe whose reader is gone. */
export async function landfallUnread(words: readonly string[], { cwd }: { cwd: string }): Promise<Omit<Ran, 'stdout'>> {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  const child = spawn(process.execPath, [launcher, ...words], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  return { exitCode, stderr };
}

/** What a command has printed as JSON is as `landfall schema` promises. */
export function assertFits(command: string, printed: unknown): void {
  const schema = jsonSchemas[command];
  assert.ok(schema, `landfall schema ${command}`);
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  const validate = ajv.compile(z.toJSONSchema(schema));
  assert.ok(validate(printed), `${command}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(printed, null, 2)}`);
}
