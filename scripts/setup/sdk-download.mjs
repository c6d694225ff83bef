/**
 * Has the Temporal SDK download its dev server: `node sdk-download.mjs FOLDER VERSION`. The SDK offers no call for the download alone, so
 * a server is started and stopped. Run as a process of its own because set-up itself must not need node_modules.
 */
import { TestWorkflowEnvironment } from '@temporalio/testing';

const [downloadDir, version] = process.argv.slice(2);
if (downloadDir === undefined || version === undefined) throw new Error('expected a folder and a version');
const environment = await TestWorkflowEnvironment.createLocal({
  server: { executable: { type: 'cached-download', downloadDir, version } },
});
await environment.teardown();
