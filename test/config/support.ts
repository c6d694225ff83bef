import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Configuration } from '../../src/config/configuration.ts';
import { type LoadOptions, loadConfiguration } from '../../src/config/load.ts';
import type { Environment } from '../../src/domain/environment.ts';
import { product } from '../../src/product.ts';
import { formatProblem } from '../../src/settings/problem.ts';

/** A folder with a landfall.yaml that exists as long as `work` runs. */
export function withFile<Result>(text: string, work: (file: string, folder: string) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'landfall-config-'));
  try {
    const file = join(folder, 'landfall.yaml');
    writeFileSync(file, text);
    return work(file, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The configuration of a text that is expected to be right. */
export function load(text: string, env: Environment = {}, options: LoadOptions = {}): Configuration {
  return withFile(text, (file) => {
    const loaded = loadConfiguration(file, env, product, options);
    if ('configuration' in loaded) return loaded.configuration;
    assert.fail(loaded.problems.map(formatProblem).join('\n'));
  });
}

/** The problems of a text that is expected to be wrong, as `LINE:COLUMN path: message`. */
export function problemsIn(text: string, env: Environment = {}, options: LoadOptions = {}): string[] {
  return withFile(text, (file) => {
    const loaded = loadConfiguration(file, env, product, options);
    assert.ok('problems' in loaded, 'expected problems');
    return loaded.problems.map(({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`);
  });
}
