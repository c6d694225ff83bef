/**
 * Landfall's process: worker and ingress, and Temporal where no cluster is configured. It reads `landfall.yaml` of the current folder
 * (or LANDFALL_CONFIG), serves until SIGTERM or SIGINT, drains, and exits 0.
 */
import { once } from 'node:events';
import { processEnvironment } from './src/config/environment.ts';
import { explain } from './src/process/explain.ts';
import { startService } from './src/process/service.ts';

const env = processEnvironment();
const stopAsked = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
// Whoever asks twice does not want to wait for the drain.
void stopAsked.then(() => {
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(1));
});

try {
  const service = await startService(env.LANDFALL_CONFIG ?? 'landfall.yaml', env);
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
