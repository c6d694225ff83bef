/**
 * `node scripts/bundle-workflows.ts [FILE]`: bundles the workflows as a worker does, which fails where one of them reaches for something
 * that is not deterministic. With a file, the bundle is kept there, and workers start faster.
 */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const quiet = { log: () => undefined, trace: () => undefined, debug: () => undefined, info: () => undefined };
const logger = { ...quiet, warn: console.warn, error: console.error };
const workflowsPath = fileURLToPath(new URL('../src/workflows/index.ts', import.meta.url));
const { code } = await bundleWorkflowCode({ workflowsPath, logger });
const [file] = process.argv.slice(2);
if (file !== undefined) await writeFile(file, code);
console.log(`Workflows bundle: ${Math.round(code.length / 1024)} KiB${file === undefined ? '' : `, in ${file}`}.`);
