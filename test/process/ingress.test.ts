import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { loadConfiguration } from '../../src/config/load.ts';
import { startIngress } from '../../src/process/ingress.ts';
import { product } from '../../src/product.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { silentLogging } from '../support/silent-logging.ts';

describe('the listeners of a process', () => {
  /** Nothing here asks it. */
  const client = new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) });
  const temporal = { client, namespace: 'default', missingAttributes: async () => [] };
  after(() => client.connection.close());

  for (const listener of ['webhooks', 'operators'] as const) {
    it(`take more connections of a trusted proxy than of anybody else: ${listener}`, async () => {
      const listen = { webhooks: '127.0.0.1:0', operators: '127.0.0.1:0', trustedProxies: ['127.0.0.1'] };
      const text = JSON.stringify({ listen });
      const loaded = loadConfiguration(join(tmpdir(), 'landfall.yaml'), {}, product, { text });
      assert.ok('configuration' in loaded, JSON.stringify(loaded));
      const { configuration } = loaded;
      const options = { takesWebhooks: true, env: {} };
      const ingress = await startIngress({ configuration }, temporal, silentLogging(), createMetrics(), options);
      const { host } = new URL(listener === 'webhooks' ? (ingress.webhooks?.url ?? '') : `http://${ingress.operators}`);
      const [address = '', port = ''] = host.split(':');
      // Of 1,024 connections, somebody else would get 384.
      const sockets = Array.from({ length: 600 }, () => connect(Number(port), address));
      let cut = 0;
      for (const socket of sockets) socket.on('error', () => undefined).on('close', () => (cut += 1));
      try {
        await Promise.all(sockets.map((socket) => once(socket, 'connect')));
        assert.equal((await fetch(`http://${host}/healthz`)).status, 200);
        assert.equal(cut, 0);
      } finally {
        for (const socket of sockets) socket.destroy();
        await ingress.stop();
      }
    });
  }
});
