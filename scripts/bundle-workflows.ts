/**
 * `node scripts/bundle-workflows.ts [FILE [WORKFLOWS]]`: bundles the workflows as a worker does, which fails where one of them reaches for
 * something that is not deterministic. With a file, the bundle is kept there, and workers start faster. WORKFLOWS: others than the sources.
 */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflows } from '../src/process/workflow-bundle.ts';

const quiet = { log: () => undefined, trace: () => undefined, debug: () => undefined, info: () => undefined };
const logger = { ...quiet, warn: console.warn, error: console.error };
const [file, workflowsPath = fileURLToPath(new URL('../src/workflows/index.ts', import.meta.url))] = process.argv.slice(2);
const code = await bundleWorkflows(workflowsPath, logger);
if (file !== undefined) await writeFile(file, code);
console.log(`Workflows bundle: ${Math.round(code.length / 1024)} KiB${file === undefined ? '' : `, in ${file}`}.`);
