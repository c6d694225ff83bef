/**
 * A worker of its own process, to be killed: runs one integration check. Its one argument is JSON:
 * `{ image, integration, baseDir, rollout, run }`.
 */
import { ensureDocker } from './docker.ts';
import { startIntegration } from './integration.ts';

const input = JSON.parse(process.argv[2] ?? '{}');
await startIntegration({ ...input, docker: await ensureDocker() }).outcome;
