import { startService } from '../../src/process/service.ts';
import { processEnvironment } from '../../src/settings/environment.ts';
import { toys } from './toys.ts';

/** As worker.ts, with the toys. */
const service = await startService('landfall.yaml', processEnvironment(), toys);
process.once('SIGTERM', () => void service.stop().then(() => process.exit(0)));
console.log(service.greeting);
await service.running;
