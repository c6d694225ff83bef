/**
 * A worker of its own process, to be killed: runs one smoke test, and says how it ended. Its one argument is JSON:
 * `{ image, smoke, rollout, run }`.
 */
import { ensureDocker } from './docker.ts';
import { startSmoke } from './smoke.ts';

const input = JSON.parse(process.argv[2] ?? '{}');
const { outcome } = startSmoke({ ...input, docker: await ensureDocker() });
console.log(JSON.stringify(await outcome));
