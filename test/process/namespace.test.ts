import assert from 'node:assert/strict';
import { Client, type Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { installationName } from '../../src/process/dependencies.ts';
import { reachTemporal } from '../../src/process/temporal.ts';
import { load } from '../config/support.ts';
import { silentLogging } from '../support/silent-logging.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';

const bare = 'without-attributes';

describe("the namespace of somebody else's cluster", function () {
  this.timeout(60_000);
  let temporal: TestTemporal;
  before(async () => {
    temporal = await startTemporal();
    await temporal.client.workflowService.registerNamespace({
      namespace: bare,
      workflowExecutionRetentionPeriod: msToTs('1 day'),
    });
  });
  after(() => temporal.stop());

  it('is refused without our search attributes, with the command that adds them, and the way of Temporal Cloud', async () => {
    const env = { ...temporal.env, TEMPORAL_NAMESPACE: bare };
    await assert.rejects(reachTemporal(load('', env), silentLogging(undefined, env), {}), (error: Error) => {
      assert.match(error.message, /temporal operator search-attribute create .*\n.*--name LandfallService --type Keyword/);
      assert.match(error.message, /On Temporal Cloud they are added in its UI, or by 'tcld/);
      return true;
    });
  });

  it('names the installation: the same at every start, another for another namespace at the same address', async () => {
    const connection = temporal.client.connection as Connection;
    const nameOf = (namespace: string) => installationName({ client: new Client({ connection, namespace }), namespace });
    assert.equal(await nameOf('default'), await nameOf('default'));
    assert.notEqual(await nameOf('default'), await nameOf(bare));
  });

  it('names another installation than that of the same name at another server', async () => {
    const other = await startTemporal();
    try {
      assert.notEqual(await installationName(temporal), await installationName(other));
    } finally {
      await other.stop();
    }
  });
});
