/**
 * What the screenshots show: six services of a shop, as real as the demo: a registry, Docker, Temporal, Trivy and the emulator of GitHub that
 * the tests have, and Landfall among them.
 */
import { randomUUID } from 'node:crypto';
import type Docker from 'dockerode';
import { rolloutId } from '../../src/contracts/start-options.ts';
import { hashOfToken } from '../../src/domain/decision-proof.ts';
import type { Digest, Tag } from '../../src/domain/image-reference.ts';
import type { RolloutStatus } from '../../src/domain/rollout-state.ts';
import { commandLane } from '../../src/operations/lane.ts';
import { readRollout } from '../../src/operations/rollouts.ts';
import { runContainer } from '../../test/support/containers.ts';
import { ensureDocker } from '../../test/support/docker.ts';
import { type ImageOptions, pushImage } from '../../test/support/images.ts';
import { fadingImage, healthyImage, lookedAt } from '../../test/support/production.ts';
import { eventually } from '../../test/support/wait.ts';
import { startWorld, type World } from '../../test/support/world.ts';

export interface Scene {
  readonly world: World;
  /** Ids, for the pages of single ones. */
  readonly blocked: string;
  readonly rolledBack: string;
  readonly approval: string;
  stop(): Promise<void>;
}

/** Ann's. */
export const token = 'the-token-of-ann-in-a-scene-of-screenshots';

const quick = { docker: true, for: '2s', interval: '500ms', failures: 1, startPeriod: '10s' };
const off = { scan: 'off', smoke: 'off', change: 'off' };
const stages = ['staging', 'production'] as const;

export async function createScene(say: (line: string) => void): Promise<Scene> {
  const docker = await ensureDocker();
  const prefix = `shop-${randomUUID().slice(0, 6)}`;
  const container = (service: string, stage: string) => `${prefix}-${service}-${stage}`;
  const deployed = (service: string) =>
    stages.map((name) => ({ name, deploy: { docker: { container: container(service, name) } }, watch: quick }));
  const world = await startWorld({
    forge: 'github',
    configuration: { operators: [{ name: 'ann', token: 'env:ANN', roles: ['approve', 'operate'] }] },
    env: { ANN: await hashOfToken(token) },
    service: { ...off, tags: { semver: '>=1' }, stages: webStages(deployed('web')) },
    services: (host) => [
      { name: 'search', image: `${host}/team/search`, tags: { semver: '>=1' }, ...off, stages: deployed('search') },
      { name: 'accounts', image: `${host}/team/accounts`, tags: { semver: '>=1' }, ...off, stages: deployed('accounts') },
      {
        name: 'basket',
        image: `${host}/team/basket`,
        tags: { semver: '>=1' },
        smoke: 'off',
        change: 'off',
        stages: deployed('basket'),
      },
      {
        name: 'billing',
        image: `${host}/team/billing`,
        tags: ['latest'],
        scan: 'off',
        change: 'off',
        smoke: { timeout: '30s' },
        stages: deployed('billing'),
      },
      {
        name: 'mail',
        image: `${host}/team/mail`,
        tags: ['latest'],
        scan: 'off',
        change: 'off',
        smoke: { timeout: '10m', stayUp: '8m' },
        stages: deployed('mail'),
      },
    ],
  });
  const stop = async (): Promise<void> => {
    await world.stop();
    await removeContainers(docker, prefix);
  };
  try {
    for (const service of ['web', 'search', 'accounts', 'basket']) {
      const first = await pushImage(world.registry, `team/${service}`, 'before', image('0.9.0'));
      for (const stage of stages) await runContainer(docker, container(service, stage), `${world.host}/team/${service}@${first}`);
    }
    await world.start();
    return { world, ...(await play(world, say)), stop };
  } catch (error) {
    console.error(world.lastWords());
    await stop();
    throw error;
  }
}

/** Production is changed by a pull request, which ann has to approve. */
function webStages([staging, production]: readonly object[]): readonly object[] {
  const change = { repository: 'team/deployment', base: 'main', file: 'docker-compose.yml' };
  return [
    { ...staging, change: 'off' },
    { ...production, change, merge: 'auto', approval: { from: ['ann'] } },
  ];
}

function image(version: string, more: ImageOptions = {}): ImageOptions {
  const labels = { 'org.opencontainers.image.version': version };
  return { ...lookedAt(healthyImage(version)), labels, ...more };
}

async function play(world: World, say: (line: string) => void): Promise<Omit<Scene, 'world' | 'stop'>> {
  const push = (service: string, tag: string, what: ImageOptions) => pushImage(world.registry, `team/${service}`, tag, what);
  const until = async (service: string, tag: string, digest: Digest, status: RolloutStatus) => {
    const id = rolloutId(service, { tag: tag as Tag, digest });
    const isThere = async () => {
      const now = await readRollout(world.temporal.client, id).catch(() => undefined);
      return now?.state.status === status || undefined;
    };
    await eventually(`${id} to be ${status}`, isThere, 300_000);
    say(`${id} is ${status}`);
    return id;
  };
  const good = ['search', 'accounts', 'basket'];
  const digests = await Promise.all(good.map((service) => push(service, '1.4.0', image('1.4.0'))));
  for (const [index, service] of good.entries()) await until(service, '1.4.0', digests[index] as Digest, 'delivered');
  const vulnerable = { files: { 'app/node_modules/minimist/package.json': '{"name":"minimist","version":"1.2.5"}' } };
  const [basket, billing, search, web] = await Promise.all([
    push('basket', '1.5.0', image('1.5.0', { ...vulnerable, files: { ...image('1.5.0').files, ...vulnerable.files } })),
    push('billing', 'latest', { busybox: true, cmd: ['sh', '-c', crash] }),
    push('search', '1.5.0', lookedAt(fadingImage('1.5.0'))),
    push('web', '1.2.0', image('1.2.0')),
  ]);
  await push('mail', 'latest', { busybox: true, cmd: ['sleep', '3600'] });
  const configuration = () => Promise.reject(new Error('the lane knows it'));
  const hold = { verb: 'hold' as const, service: 'accounts', stage: 'production', reason: 'the quarter is being closed' };
  await commandLane({ client: world.temporal.client, configuration }, hold, { name: 'ben' });
  return {
    blocked: await until('basket', '1.5.0', basket, 'blocked'),
    rolledBack: await until('search', '1.5.0', search, 'rolled-back'),
    approval: await until('web', '1.2.0', web, 'waiting'),
    ...(await until('billing', 'latest', billing, 'blocked').then(() => ({}))),
  };
}

const crash = [
  'echo "billing 4.2.1 starts"',
  'echo "reads configuration from /etc/billing.yaml"',
  'echo "error: connect ECONNREFUSED 10.0.4.17:5432 (database)"',
  'echo "  at Pool.connect (/app/pool.js:88:13)"',
  'exit 3',
].join('; ');

async function removeContainers(docker: Docker, prefix: string): Promise<void> {
  for (const { Id, Names } of await docker.listContainers({ all: true })) {
    if (Names.some((name) => name.includes(prefix))) await docker.getContainer(Id).remove({ force: true, v: true });
  }
}
