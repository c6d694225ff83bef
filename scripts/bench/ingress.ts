import { createHash, createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfiguration } from '../../src/config/load.ts';
import { plansFor } from '../../src/config/plans.ts';
import { rolloutStartOptions } from '../../src/contracts/start-options.ts';
import { type Digest, parseRepository, type Repository, type Tag } from '../../src/domain/image-reference.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { product } from '../../src/product.ts';
import { startTemporal, type TestTemporal, testKey } from '../../test/support/temporal.ts';
import { startBareKoa } from './bare-koa.ts';
import { startIngressProcess } from './ingress-process.ts';
import { type Contest, type Pace, pacesOf } from './pace.ts';
import { requestBytes, startPoster } from './poster.ts';

/** What the ingress does beside what it cannot do without: each round measures all four, two and two in turns. */
export interface IngressRound {
  /** Authentic pushes that are answered with 202, and so are workflows in Temporal. */
  readonly accepted: Pace;
  /** The same workflows, started by a bare Temporal client. */
  readonly bare: Pace;
  /** Wrongly signed pushes that are answered with 401. */
  readonly refused: Pace;
  /** The same requests to a Koa application that answers 401 without reading anything. */
  readonly koa: Pace;
}

export interface IngressSizes {
  /** Pushes that are accepted, and workflows that are started, in a round. */
  readonly starts: number;
  /** Requests that are refused in a round. */
  readonly refusals: number;
  /** How many are under way at once. */
  readonly atOnce: number;
}

const secret = 'bench-secret-4e0c1d';
const path = '/webhook/image-published';
/** How often each side has its turn in a round: turns are short, so that what else the machine does meets both sides alike. */
const turns = 25;

/** An ingress as a process of its own, with a Temporal server that keeps its state in a file, as the embedded one does. */
export async function measureIngress(
  rounds: number,
  { starts, refusals, atOnce }: IngressSizes,
  print: (line: string) => void,
): Promise<IngressRound[]> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-bench-'));
  const temporal = await startTemporal({ databaseFile: join(folder, 'temporal.db') });
  const koa = await startBareKoa();
  const port = await reservePort();
  const file = await writeConfiguration(folder, port, temporal.address);
  const env = { BENCH_SECRET: secret, LANDFALL_ROLES: 'api', LANDFALL_KEY: testKey };
  const landfall = await startIngressProcess(folder, port, env);
  const poster = startPoster();
  try {
    const event = await readEvent();
    const start = bareStarter(temporal, file, env);
    const measured: IngressRound[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      const prepared = (kind: string, count: number, key: string): Buffer[] =>
        Array.from({ length: count }, (_, index) => signed(event, nameOf(`${kind}-${round}`, index), key));
      const bareStart = (index: number) => start(nameOf(`bare-${round}`, index));
      const pushes = prepared('landfall', starts, secret);
      const wrong = prepared('wrong', refusals, 'not-the-secret');
      const posts = (to: number, requests: readonly Buffer[], expected: number): Contest => ({
        count: requests.length,
        act: (index) => poster.post(to, requests[index] ?? Buffer.alloc(0), expected),
      });
      const starting = [posts(port, pushes, 202), { count: starts, act: bareStart }] as const;
      const refusing = [posts(port, wrong, 401), posts(koa.port, wrong, 401)] as const;
      const [accepted, bare] = await pacesOf(starting, atOnce, turns);
      const [refused, answered] = await pacesOf(refusing, atOnce, turns);
      const one = { accepted, bare, refused, koa: answered };
      print(`  ${round === 0 ? 'warm-up, not counted' : `round ${round} of ${rounds}`}: ${roundText(one)}`);
      if (round > 0) measured.push(one);
    }
    return measured;
  } finally {
    poster.stop();
    await landfall.stop();
    await koa.stop();
    await temporal.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function roundText({ accepted, bare, refused, koa }: IngressRound): string {
  const perSecond = (pace: Pace) => `${Math.round(pace.perSecond)}/s`;
  return `accepted ${perSecond(accepted)}, bare client ${perSecond(bare)}; refused ${perSecond(refused)}, bare Koa ${perSecond(koa)}`;
}

async function writeConfiguration(folder: string, port: number, temporal: string): Promise<string> {
  const file = join(folder, 'landfall.yaml');
  const configuration = {
    // The rate limit is there to be met by floods, and this is one.
    listen: { webhooks: `127.0.0.1:${port}`, operators: '127.0.0.1:0', limits: { perMinute: 100_000_000 } },
    receivers: { github: { secrets: ['env:BENCH_SECRET'] } },
    temporal: { address: temporal },
    search: 'off',
    services: [{ name: 'bench', image: 'ghcr.io/team/app', tags: { pattern: '.*', order: 'alphabetical' } }],
  };
  // JSON is YAML.
  await writeFile(file, JSON.stringify(configuration));
  return file;
}

interface Named {
  readonly tag: Tag;
  readonly digest: Digest;
}

function nameOf(kind: string, index: number): Named {
  const tag = `${kind}-${index}` as Tag;
  return { tag, digest: `sha256:${createHash('sha256').update(tag).digest('hex')}` as Digest };
}

/** A real event of GitHub's, which names one tag. */
async function readEvent(): Promise<string> {
  const vector = new URL('../../test/payloads/github/package-published-container.json', import.meta.url);
  const { body } = JSON.parse(await readFile(vector, 'utf8')) as { body: object };
  return JSON.stringify(body);
}

/** The bytes of a delivery of GitHub's. */
function signed(event: string, { tag, digest }: Named, key: string): Buffer {
  const about = JSON.parse(event) as { package: { package_version: object } };
  const version = {
    ...about.package.package_version,
    package_url: `ghcr.io/team/app:${tag}`,
    container_metadata: { tag: { name: tag, digest } },
  };
  const body = JSON.stringify({ ...about, package: { ...about.package, package_version: version } });
  const signature = createHmac('sha256', key).update(body).digest('hex');
  const headers = {
    'Content-Type': 'application/json',
    'X-GitHub-Event': 'package',
    'X-Hub-Signature-256': `sha256=${signature}`,
  };
  return requestBytes(path, { body, headers });
}

/** Starts the very workflow that the ingress starts, and nothing else. */
function bareStarter({ client }: TestTemporal, file: string, env: Record<string, string>): (named: Named) => Promise<void> {
  const loaded = loadConfiguration(file, env, product);
  if ('problems' in loaded) throw new Error('expected the configuration of the benchmark to be right');
  const repository: Repository = parseRepository('ghcr.io/team/app');
  return async ({ tag, digest }) => {
    const [plan] = plansFor(loaded.configuration, repository, tag);
    if (plan === undefined) throw new Error('expected a service that follows every tag');
    const image = { repository, tag, digest };
    const push = { ...image, source: 'bench', deliveryId: tag, receivedAt: new Date().toISOString() };
    const { workflowId, ...options } = rolloutStartOptions({ plan, image, push });
    await client.workflow.start('rollout', { ...options, workflowId });
  };
}
