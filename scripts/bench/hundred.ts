import { randomBytes } from 'node:crypto';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { parse, stringify } from 'yaml';
import { rolloutId } from '../../src/contracts/start-options.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { type ImageOptions, pushImage } from '../../test/support/images.ts';
import { readConfiguration, startWorld, type World } from '../../test/support/world.ts';
import { untilStarted } from './contestants.ts';
import { percentile } from './pace.ts';
import type { Aim } from './report.ts';

const services = Array.from({ length: 20 }, (_, index) => `web-${index + 1}`);
const versions = ['1.0.0', '1.0.1', '1.0.2', '1.0.3', '1.0.4'] as const;
const longestMs = 10 * 60_000;

/** Five versions of twenty services at once, each a push of its own. How long after its last push has each service its proposal? */
export async function benchHundredPushes(print: (line: string) => void): Promise<Aim[]> {
  print(`Pushing ${versions.length} versions of ${services.length} services at once.`);
  const world = await startWorld({ forge: 'git' });
  try {
    await world.remote.commit('main', { 'docker-compose.yml': composeFile(world.host) }, 'twenty services');
    await writeFile(join(world.folder, 'landfall.yaml'), await configurationOf(world));
    await world.start();
    const proposedAfter = await Promise.all(services.map((service) => pushAll(world, service)));
    const sorted = proposedAfter.map(({ ms }) => ms / 1_000).sort((a, b) => a - b);
    const ends = proposedAfter.flatMap(({ others }) => others);
    const superseded = ends.filter((status) => status === 'superseded').length;
    print(
      `  ${ends.length - superseded} of the ${ends.length} earlier versions were brought to a proposal, ${superseded} were superseded`,
    );
    print(
      `  the last version of a service was proposed after ${shown(sorted[0])} to ${shown(sorted.at(-1))}, median ${shown(percentile(sorted, 0.5))}`,
    );
    return [
      {
        id: 'hundred-p95',
        what: 'seconds from the last push of a service to its proposal, of a hundred pushes at once, p95',
        atMost: 45,
        found: percentile(sorted, 0.95),
      },
    ];
  } finally {
    await world.stop();
  }
}

/** Every service pushes its versions one after the other, and all services do that at once. */
async function pushAll(world: World, service: string) {
  const handles = [];
  let pushedAt = 0;
  for (const version of versions) {
    const digest = await pushImage(world.registry, `team/${service}`, version, image());
    pushedAt = Date.now();
    const id = rolloutId(service, { tag: version as Tag, digest });
    handles.push(world.temporal.client.workflow.getHandle(id));
  }
  const states = await Promise.all(handles.map((handle) => untilEnded(handle)));
  const last = states.at(-1);
  if (last?.status !== 'proposed')
    throw new Error(`expected ${service} ${versions.at(-1)} to be proposed, found ${last?.status}: ${last?.reason}`);
  const { mtimeMs } = await stat(join(world.remote.folder, 'refs/heads/landfall', `${service}-production`));
  return { ms: mtimeMs - pushedAt, others: states.slice(0, -1).map((state) => state.status) };
}

async function untilEnded(handle: WorkflowHandle): Promise<RolloutState> {
  await untilStarted(handle, longestMs);
  return (await handle.result()) as RolloutState;
}

function image(): ImageOptions {
  return { busybox: true, cmd: ['sleep', '3600'], files: { 'www/version': randomBytes(8).toString('hex') } };
}

function composeFile(host: string): string {
  return stringify({ services: Object.fromEntries(services.map((name) => [name, { image: `${host}/team/${name}:0.9` }])) });
}

async function configurationOf(world: World): Promise<string> {
  const {
    services: [web],
    ...rest
  } = parse(await readConfiguration(world)) as { services: [{ change: object }] };
  const each = services.map((name) => ({
    ...web,
    name,
    image: `${world.host}/team/${name}`,
    tags: { semver: '*' },
    change: { ...web.change, services: [name] },
  }));
  return stringify({ ...rest, services: each });
}

function shown(seconds: number | undefined): string {
  return `${seconds?.toFixed(1)} s`;
}
