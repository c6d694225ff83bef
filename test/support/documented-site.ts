import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { parse, stringify } from 'yaml';
import type { Digest } from '../../src/domain/image-reference.ts';
import { documentedStart } from './documented-start.ts';
import { token } from './github/server.ts';
import { pushImage } from './images.ts';
import { healthyImage, lookedAt } from './production.ts';
import { readConfiguration, type World } from './world.ts';

const run = promisify(execFile);
const repository = 'pitchconnect/deployment';

/** The organization, the host and the file of docs/start-github-compose.md, in a world. */
export interface DocumentedSite {
  /** Pushes an image of one of its services, as `latest`. */
  push(service: string, version: string, image?: typeof healthyImage): Promise<Digest>;
  /** Whether the one container of a service runs this digest. */
  runs(service: string, digest: Digest): Promise<boolean>;
  /** Runs one line of the document in the folder of landfall.yaml. */
  shell(line: string): Promise<void>;
  destroy(): Promise<void>;
}

/** All that the document has there before Landfall starts; its landfall.yaml takes the place of the world's. */
export async function createDocumentedSite(world: World, docker: Docker): Promise<DocumentedSite> {
  const { composeFile, configuration, lines, tokenRights } = documentedStart();
  // Compose names the project after the folder.
  const directory = join(world.folder, `${basename(world.folder).toLowerCase()}-start`);
  const files = { 'docker-compose.yml': placed(composeFile).replaceAll(' }', ', stop_grace_period: 1s }') };
  await world.github.createRepository(repository, { files });
  world.github.addToken(token, { login: 'landfall-bot', permissions: tokenRights, repositories: [repository] });
  const push = (service: string, version: string, image = healthyImage): Promise<Digest> =>
    pushImage(world.registry, `pitchconnect/${service}`, 'latest', lookedAt(image(version)));
  for (const service of Object.keys(parse(composeFile).services)) await push(service, '1');
  const shell = async (line: string): Promise<void> =>
    void (await run('sh', ['-ec', placed(line)], { cwd: world.folder, timeout: 60_000 }));
  await shell(lines.find((line) => line.startsWith('git clone ')) ?? 'false');
  await writeFile(join(world.folder, 'landfall.yaml'), await hereOf(parse(placed(configuration))));

  /** What the document says, where it is here. */
  function placed(text: string): string {
    return text
      .replaceAll('ghcr.io', world.host)
      .replaceAll('/srv/deployment', directory)
      .replace(`git@github.com:${repository}.git`, () => world.github.folder(repository));
  }

  /** Its services and defaults, on the world's own server, registry and GitHub, with less patience. One is started once for all. */
  async function hereOf(documented: ReturnType<typeof parse>): Promise<string> {
    const { services: six, defaults, receivers } = documented;
    const services = six.map((each: object, index: number) => (index === 0 ? each : { ...each, smoke: 'off' }));
    const before = parse(await readConfiguration(world));
    const watch = { ...defaults.watch, for: '4s', interval: '500ms', failures: 1, startPeriod: '10s' };
    const { search: _, operators: __, ...kept } = before;
    return stringify({ ...kept, receivers, defaults: { ...defaults, scan: 'off', watch }, services });
  }

  const containers = (service?: string) =>
    docker.listContainers({
      all: true,
      filters: {
        label: [
          `com.docker.compose.project=${basename(directory)}`,
          ...(service ? [`com.docker.compose.service=${service}`] : []),
        ],
      },
    });
  return {
    push,
    shell,
    async runs(service, digest) {
      const [only, ...more] = await containers(service);
      if (only?.State !== 'running' || more.length > 0) return false;
      return ((await docker.getImage(only.ImageID).inspect()).RepoDigests ?? []).some((each) => each.endsWith(digest));
    },
    async destroy() {
      for (const { Id } of await containers()) await docker.getContainer(Id).remove({ force: true, v: true });
      const filters = { label: [`com.docker.compose.project=${basename(directory)}`] };
      for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove();
    },
  };
}
