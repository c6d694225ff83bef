/**
 * A process that starts the embedded server on the folder named by its argument, starts one workflow, says so in one JSON line, and
 * then waits to be killed.
 */
import { Client, Connection } from '@temporalio/client';
import { startEmbeddedTemporal } from '../../src/platform/temporal/embedded.ts';
import { findTool } from '../../src/platform/tools.mjs';

const [folder] = process.argv.slice(2);
const command = findTool('temporal');
if (folder === undefined || command === undefined) throw new Error('expected a folder as argument, and the temporal command');
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const server = await startEmbeddedTemporal({ folder, command, searchAttributes: [], log: silent });
const connection = await Connection.connect({ address: server.address });
const workflowId = 'rollout:app:latest:leftover';
await new Client({ connection }).workflow.start('rollout', { workflowId, taskQueue: 'nobody-listens' });
await connection.close();
console.log(JSON.stringify({ pid: server.pid(), workflowId }));
setInterval(() => undefined, 60_000);
