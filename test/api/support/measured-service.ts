/** Landfall's process as worker.ts runs it, and on request it says how much memory it still needs after everything unneeded is gone. */

import { startService } from '../../../src/process/service.ts';
import { product } from '../../../src/product.ts';
import { processEnvironment } from '../../../src/settings/environment.ts';

const service = await startService('landfall.yaml', processEnvironment(), product);
process.on('message', (message) => {
  if (message === 'memory') process.send?.(memoryInUse());
  else void service.stop().then(() => process.disconnect());
});
process.send?.('serves');

function memoryInUse(): number {
  if (globalThis.gc === undefined) throw new Error('expected --expose-gc');
  // What the first run finalises, the second one frees.
  for (let run = 0; run < 3; run += 1) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
