/**
 * One use of the rules in `domain/manifest-edit`, in a thread of its own: see index.ts. Plain JavaScript, because a thread that
 * runs from the sources has to ask for tsx itself.
 */
import { existsSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

const built = new URL('../../domain/manifest-edit.js', import.meta.url);
const isBuilt = existsSync(built);
if (!isBuilt) (await import('tsx/esm/api')).register();
const rules = await import(isBuilt ? built.href : new URL('../../domain/manifest-edit.ts', import.meta.url).href);

/** An error loses its class and its members on the way. */
function answer() {
  try {
    return { kind: 'done', result: rules[workerData.name](...workerData.args) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (!('type' in error)) return { kind: 'failed', message: error.stack ?? error.message };
    return { kind: 'refused', type: error.type, message: error.message, details: 'details' in error ? error.details : [] };
  }
}

parentPort?.postMessage(answer());
