/**
 * Landfall's process: worker and ingress, and Temporal where no cluster is configured. It reads `landfall.yaml` of the current folder
 * (or LANDFALL_CONFIG), serves until SIGTERM or SIGINT, drains, and exits 0.
 */

import { enableCompileCache, setSourceMapsSupport } from 'node:module';
import { withCauses } from './src/domain/errors.ts';
import { hideEnvironment } from './src/platform/processes/hidden-environment.ts';
import { compiledFolder } from './src/platform/tools.mjs';
import { stopAsked } from './src/process/stop-signals.ts';
import { processEnvironment } from './src/settings/environment.ts';

const env = processEnvironment();
const signals = stopAsked();

// Before anything is started that could read it.
const shown = hideEnvironment(process.env);
if (shown !== undefined) {
  console.error(
    `What Landfall starts can read Landfall's environment in /proc (${shown}): have secrets read from files (file:PATH), see docs/operating.md`,
  );
}

// What was compiled at one start is read at the next: 0.4 s less. In a folder of the user's own, since it is code that will run.
enableCompileCache(compiledFolder(env));
// For stacks with places in the sources. Those of the packages would take 15 MB, and nobody looks for a fault there.
setSourceMapsSupport(true, { nodeModules: false });
const { startService } = await import('./src/process/service.ts');
const { product } = await import('./src/product.ts');

try {
  const service = await startService(env.LANDFALL_CONFIG ?? 'landfall.yaml', env, product, signals.tellBy);
  console.log(service.greeting);
  const isLooking = await service.warnOfOutside();
  try {
    await Promise.race([service.running, signals.asked]);
  } finally {
    await service.stop();
    service.log.info({}, 'stopped');
  }
  // Nobody waits for the answers of others any more.
  if (isLooking()) process.exit();
} catch (error) {
  console.error(withCauses(error));
  // What could not be stopped must not keep a supervisor from starting us anew.
  process.exit(1);
}
