/**
 * Landfall's process: worker and ingress, and Temporal where no cluster is configured. It reads `landfall.yaml` of the current folder
 * (or LANDFALL_CONFIG), serves until SIGTERM or SIGINT, drains, and exits 0.
 */

import { explain } from './src/process/explain.ts';
import { startService } from './src/process/service.ts';
import { product } from './src/product.ts';
import { processEnvironment } from './src/settings/environment.ts';

const env = processEnvironment();
const stopAsked = new Promise<void>((asked) => {
  let isAsked = false;
  // Listened to without a gap: a signal that nobody listens to ends the process at once, and leaves what it started running.
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      // Whoever asks twice does not want to wait for the drain.
      if (isAsked) process.exit(1);
      isAsked = true;
      asked();
    });
  }
});

try {
  const service = await startService(env.LANDFALL_CONFIG ?? 'landfall.yaml', env, product);
  console.log(service.greeting);
  try {
    await Promise.race([service.running, stopAsked]);
  } finally {
    await service.stop();
  }
} catch (error) {
  console.error(explain(error));
  // What could not be stopped must not keep a supervisor from starting us anew.
  process.exit(1);
}
