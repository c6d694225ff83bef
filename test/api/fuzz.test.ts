import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { reservePort } from '../../src/platform/ports.ts';
import { type Authority, createAuthority } from '../support/certificates.ts';
import { startTemporal, type TestTemporal, testKey } from '../support/temporal.ts';
import { below, mutatedBytes, mutatedHeaders, mutatedJson, pick, type Random, seeded } from './support/mutate.ts';
import { createSeeds, otherReceivers, type Seed } from './support/seeds.ts';
import { type Senders, startSenders } from './support/senders.ts';

/** `npm run test:fuzz` sends more. */
const requests = Number(process.env.LANDFALL_FUZZ_REQUESTS ?? 25_000);
/** Caches and compiled code have their size by then. */
const warmUp = Math.min(20_000, requests / 2);
const mostGrowth = 20 * 1024 ** 2;
const atOnce = 32;
const connections = 32;
const seed = Number(process.env.LANDFALL_FUZZ_SEED ?? 20_261_121);

/** The real process, as `api`, with a receiver for every source, and everything that it says. */
interface Service {
  readonly port: number;
  readonly child: ChildProcess;
  /** Lines that held a secret. There must be none. */
  readonly leaks: string[];
  readonly lines: () => number;
  /** Bytes. */
  memory(): Promise<number>;
}

describe('whatever anybody sends to any receiver', function () {
  this.timeout(900_000);
  let temporal: TestTemporal;
  let senders: Senders;
  let authority: Authority;
  let folder: string;
  let service: Service;
  let seeds: readonly Seed[];
  const secrets = { SENDER_NEW: 'canary-new-0b6f4e17', SENDER_OLD: 'canary-old-9d12c35a' };
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  before(async () => {
    temporal = await startTemporal();
    senders = await startSenders();
    authority = await createAuthority();
    folder = await mkdtemp(join(tmpdir(), 'landfall-fuzz-'));
    assert.deepEqual(senders.env, secrets);
    service = await startService(folder, await configuration(senders, authority, temporal.address), {
      ...secrets,
      LANDFALL_KEY: testKey,
    });
    const { cert } = await authority.issue({
      name: 'build.quay.io',
      commonName: '*.quay.io',
      extensions: ['extendedKeyUsage=clientAuth'],
    });
    seeds = createSeeds(senders, secrets.SENDER_NEW, `:${new X509Certificate(cert).raw.toString('base64')}:`);
  });
  after(async () => {
    agent.destroy();
    const exited = once(service.child, 'exit');
    service.child.send('stop');
    await exited;
    await senders.stop();
    await temporal.stop();
    await rm(folder, { recursive: true, force: true });
    await rm(authority.folder, { recursive: true, force: true });
  });

  it('takes every seed as it is', async () => {
    for (const { name, raw, headers, query, authenticate } of seeds) {
      const { path, headers: proof } = await authenticate(Buffer.from(raw));
      const target = `${path}?${new URLSearchParams(query)}`;
      const { status } = await send(agent, service.port, {
        path: target,
        body: Buffer.from(raw),
        headers: { ...headers, ...proof },
      });
      assert.ok([200, 202, 400].includes(status), `${name}: ${status}`);
    }
  });

  it(`answers ${requests} mutated requests without a 5xx, a crash, a leak of memory or of a secret (seed ${seed})`, async () => {
    const statuses = new Map<number, number>();
    let first = 0;
    let next = 0;
    const lane = async (limit: number): Promise<void> => {
      while (next < limit) {
        const random = seeded(seed + next);
        next += 1;
        const mutant = await mutated(random, pick(random, seeds));
        const { status, text } = await send(agent, service.port, mutant);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        assert.ok(
          status < 500,
          `${status} ${text} to ${JSON.stringify({ ...mutant, body: mutant.body.toString('latin1').slice(0, 2_000) })}`,
        );
        assert.doesNotMatch(text, /canary|eyJ/);
      }
    };
    const sendUpTo = (limit: number) => Promise.all(Array.from({ length: atOnce }, () => lane(limit)));
    await sendUpTo(warmUp);
    first = await service.memory();
    await sendUpTo(requests);
    const growth = (await service.memory()) - first;
    assert.ok(growth < mostGrowth, `the memory grew by ${(growth / 1024 ** 2).toFixed(1)} MiB`);
    assert.deepEqual(service.leaks, []);
    assert.equal(service.child.exitCode, null);
    // Mutants that never get past the door would prove nothing.
    const share = (status: number) => (statuses.get(status) ?? 0) / requests;
    assert.ok(share(200) > 0.1 && share(202) < 0.9 && share(400) > 0.1 && share(401) > 0.05, JSON.stringify([...statuses]));
    assert.ok(service.lines() > requests, 'expected an audit line for each request');
  });
});

interface Request {
  readonly method?: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Three of four are authentic, so that what is inside meets them. */
async function mutated(random: Random, { raw, body, headers, query, authenticate }: Seed): Promise<Request> {
  const isStructured = body !== undefined && random() < 0.8;
  const bytes = isStructured ? Buffer.from(mutatedJson(random, body)) : mutatedBytes(random, raw);
  const { path, headers: proof } = await authenticate(random() < 0.85 ? bytes : Buffer.from(raw));
  const all = { ...headers, ...proof };
  const sent = random() < 0.25 ? mutatedHeaders(random, all) : all;
  const from = { 'X-Forwarded-For': `203.0.${below(random, 8)}.${below(random, 256)}` };
  const search = new URLSearchParams(query).toString();
  return {
    ...(random() < 0.02 && { method: pick(random, ['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) }),
    path: random() < 0.04 ? mutatedPath(random, path) : `${path}${search && `?${search}`}`,
    headers: { ...sent, ...from },
    body: bytes,
  };
}

function mutatedPath(random: Random, path: string): string {
  const tail = pick(random, [
    '/',
    '//',
    '/..%2f',
    '/%00',
    '/%zz',
    '?a=%zz',
    '/x/y/z',
    `/${'a'.repeat(3_000)}`,
    '%2e%2e',
    '/é',
    '#x',
  ]);
  return encodeURI(random() < 0.5 ? `${path}${tail}` : path.slice(0, below(random, path.length) + 1)).replaceAll('%25', '%');
}

/** Status 0: the server closed the connection, which is an answer where HTTP itself was wrong or the body too large. */
function send(
  agent: Agent,
  port: number,
  { method = 'POST', path, headers, body }: Request,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const length = { 'Content-Length': String(body.length) };
    const sent = request({ agent, host: '127.0.0.1', port, path, method, headers: { ...printable(headers), ...length } });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve({ status: 0, text: '' });
      else reject(error);
    });
    sent.on('response', (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (more: string) => {
        text += more;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text })).on('error', reject);
    });
    sent.end(body);
  });
}

/** Node sends no others. */
function printable(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value.replace(/[^\t\x20-\x7e\x80-\xff]/g, '?')]),
  );
}

async function configuration(senders: Senders, { ca }: Authority, temporal: string): Promise<object> {
  const port = await reservePort();
  const quay = { ...senders.settings().quay, certificate: { ca } };
  const workflows = ['build'];
  const github = { ...senders.settings().github, workflows };
  return {
    listen: {
      webhooks: `127.0.0.1:${port}`,
      operators: '127.0.0.1:0',
      trustedProxies: ['127.0.0.1'],
      certificateHeader: 'client-cert',
      limits: { perMinute: 10_000_000 },
    },
    receivers: { ...senders.settings(), ...otherReceivers, quay, github },
    temporal: { address: temporal },
    search: 'off',
    log: { level: 'debug' },
    services: [{ name: 'any', image: 'docker.io/nobody/pushes-this', tags: ['latest'] }],
  };
}

async function startService(folder: string, settings: object, secrets: Record<string, string>): Promise<Service> {
  // JSON is YAML.
  await writeFile(join(folder, 'landfall.yaml'), JSON.stringify(settings));
  const program = fileURLToPath(new URL('./support/measured-service.ts', import.meta.url));
  const env = { ...process.env, ...secrets, LANDFALL_ROLES: 'api' };
  const child = spawn(process.execPath, ['--expose-gc', program], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let [lines, rest, last] = [0, '', ''];
  const leaks: string[] = [];
  const read = (chunk: Buffer): void => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      lines += 1;
      last = line;
      // Of tokens, the payload and the signature; `alg` and `kid` at the beginning are no secret, yet nothing of it is wanted.
      if (/canary|eyJ[\w-]{8,}\.[\w-]+\./.test(line)) leaks.push(line.slice(0, 1_000));
    }
  };
  child.stdout?.on('data', read);
  child.stderr?.on('data', read);
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`Landfall ended: ${last} ${rest}`)));
  ended.catch(() => undefined);
  const ask = async (): Promise<unknown> => ((await Promise.race([once(child, 'message'), ended])) as unknown[])[0];
  assert.equal(await ask(), 'serves');
  const { listen } = settings as { listen: { webhooks: string } };
  return {
    port: Number(listen.webhooks.split(':')[1]),
    child,
    leaks,
    lines: () => lines,
    memory: async () => {
      child.send('memory');
      return Number(await ask());
    },
  };
}
