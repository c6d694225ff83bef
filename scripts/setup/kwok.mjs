/** kwok plays nodes and pods, of which the tests need more than a machine can run: built once into the cache folder. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPrograms, programsFolder } from './go-programs.mjs';

const kwokVersion = '0.8.0';

/** @type {import('./go-programs.mjs').GoPrograms} */
const kwok = Object.freeze({
  name: `kwok-${kwokVersion}`,
  module: fileURLToPath(new URL('kwok', import.meta.url)),
  programs: [{ name: 'kwok', from: 'sigs.k8s.io/kwok/cmd/kwok' }],
});

/**
 * @param {{ env: Record<string, string | undefined>, say: (line: string) => void }} context
 * @returns {Promise<string>} the program
 * @throws Error where it cannot be built, with what to do about it
 */
export async function buildKwok(context) {
  await buildPrograms(kwok, { ...context, who: 'the test of very many workloads' });
  return join(programsFolder(kwok, context.env), 'kwok');
}
