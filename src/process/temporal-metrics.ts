import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { reservePort } from '../platform/ports.ts';

const ip = '127.0.0.1';
const withinMs = 2_000;

/** Temporal's SDK serves its own figures, in Prometheus' format, at a port of loopback: `/metrics` passes them on. */
export async function chooseTemporalMetrics() {
  const port = await reservePort(ip);
  return {
    bindAddress: `${ip}:${port}`,
    /** Empty while they cannot be had: the others are worth as much without them. */
    async read(): Promise<string> {
      try {
        // This very process is asked, so not by the client of docs/decisions/0026-one-http-client.md, which goes through proxies.
        const asked = get({ host: ip, port, path: '/metrics', signal: AbortSignal.timeout(withinMs) });
        const [answer] = (await once(asked, 'response')) as [IncomingMessage];
        const figures = await text(answer);
        return answer.statusCode === 200 ? figures : '';
      } catch {
        return '';
      }
    },
  };
}
