import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reservePort } from '../../src/platform/ports.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { createRemote, type GitRemote } from '../../test/support/git-remote.ts';
import { tag } from '../../test/support/registry-upload.ts';
import { buildImage, type DemoImage, demoImages, fadingImage } from './images.ts';
import { createProduction, type Production } from './production.ts';
import { startDemoRegistry } from './registry.ts';
import { type Environment, run } from './run.ts';
import { configurationHead, type DemoPlaces, startService, stopService } from './service.ts';

/** All that the demo runs: a registry, a deployment repository, and Landfall itself in a folder of its own. */
export interface World {
  readonly folder: string;
  /** `HOST/demo`, where the images are pushed to. */
  readonly repositories: string;
  readonly deployment: GitRemote;
  readonly production: Production;
  readonly temporal: { readonly address: string; readonly namespace: string; readonly uiUrl: string };
  /** Pushes an image as `latest`. @returns the digest that the registry has for that tag */
  push(image: DemoImage): Promise<string>;
  /**
   * Puts the manifest of `latest` once more, of which every registry tells. `docker push` would not do: Docker 29 sends nothing that the
   * registry has. @returns its digest
   */
  pushAgain(image: DemoImage): Promise<string>;
  destroy(): Promise<void>;
}

interface Options {
  readonly root: string;
  readonly env: Environment;
  readonly say: (line: string) => void;
}

/** @throws where a part does not start; whatever had started by then is stopped */
export async function createWorld(options: Options): Promise<World> {
  const undo: (() => Promise<void>)[] = [];
  const destroy = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return await build(options, undo, destroy);
  } catch (error) {
    await destroy();
    throw error;
  }
}

async function build({ root, env, say }: Options, undo: (() => Promise<void>)[], destroy: () => Promise<void>): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-demo-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const token = randomBytes(24).toString('hex');
  const ports = { webhooks: await reservePort(), operators: await reservePort(), temporal: await reservePort() };

  say('a registry that reports every push, and a deployment repository');
  const registry = await startDemoRegistry({ port: ports.webhooks, path: '/webhook/distribution', token }, env);
  undo.push(() => registry.stop());
  const repositories = `${registry.host}/demo`;
  const docker = findTool('docker', env) ?? 'docker';
  const port = await reservePort();
  const deployment = await createRemote({ files: { 'docker-compose.yml': composeFile(repositories, port) } });
  undo.push(() => deployment.destroy());
  const production = await createProduction({ folder, port, remote: deployment.folder, registry: registry.host, docker, env });
  undo.push(() => production.destroy());

  say('four images, built from busybox');
  const localName = (image: DemoImage): string => `${repositories}/${image.name}:${image.build}`;
  for (const image of [...demoImages, fadingImage]) {
    undo.push(() => removeImage(docker, localName(image), env));
    await buildImage(image, localName(image), join(folder, 'images'), env);
  }

  say('Landfall, with its own Temporal server');
  // The vulnerability database of the tests: five advisories, so that no download is needed.
  await cp(join(root, 'test/support/trivy-db/db'), join(folder, 'trivy/db'), { recursive: true });
  await writeFile(
    join(folder, 'landfall.yaml'),
    configuration({ registry: registry.host, deployment: deployment.folder, production, ...ports }),
  );
  const service = await startService(root, folder, { ...env, DEMO_REGISTRY_TOKEN: token });
  undo.push(() => stopService(service, folder));
  const temporal = JSON.parse(await readFile(join(folder, 'data/temporal.json'), 'utf8'));

  const endpoint = { host: registry.host, url: `http://${registry.host}` };
  const push = async (image: DemoImage): Promise<string> => {
    const latest = `${repositories}/${image.name}:latest`;
    await run(docker, ['tag', localName(image), latest], { env });
    await run(docker, ['push', '--quiet', latest], { env });
    await run(docker, ['rmi', latest], { env });
    return digestOf(`${endpoint.url}/v2/demo/${image.name}/manifests/latest`);
  };
  const pushAgain = (image: DemoImage): Promise<string> => tag(endpoint, `demo/${image.name}`, 'latest', 'latest');
  return { folder, repositories, deployment, production, temporal, push, pushAgain, destroy };
}

function composeFile(repositories: string, port: number): string {
  return `# What runs in production. Landfall proposes changes to it.
services:
  web:
    image: ${repositories}/web:1.0.0   # the shop window
    ports: ["127.0.0.1:${port}:8080"]
    stop_grace_period: 1s
    restart: unless-stopped

  shop:
    image: ${repositories}/shop:1.0.0
    depends_on: [web]
    restart: unless-stopped
`;
}

interface Places extends DemoPlaces {
  readonly deployment: string;
  readonly production: Production;
}

function configuration({ deployment, production, ...places }: Places): string {
  const { registry } = places;
  return `${configurationHead(places, '0.0.0.0')}defaults:
  change: { repository: ${JSON.stringify(deployment)}, base: main, file: docker-compose.yml }
  scan: { failOn: critical }
  smoke: { timeout: 60s, stayUp: 2s }
services:
  - image: "${registry}/demo/*"
    tags: [latest]
  - image: "${registry}/demo/web"
    tags: [latest]
    smoke: { http: { port: 8080, path: /health } }
    merge: auto
    deploy: { compose: { directory: ${JSON.stringify(production.directory)}, project: ${production.project} } }
    watch: { http: { url: "${production.url}/health" }, for: 10s, interval: 1s, failures: 1, startPeriod: 10s }
    rollback: auto
`;
}

async function removeImage(docker: string, reference: string, env: Environment): Promise<void> {
  const found = await run(docker, ['image', 'ls', '--quiet', reference], { env });
  if (found.trim() !== '') await run(docker, ['image', 'rm', '--force', reference], { env });
}

async function digestOf(url: string): Promise<string> {
  const types = [
    'docker.distribution.manifest.v2',
    'docker.distribution.manifest.list.v2',
    'oci.image.manifest.v1',
    'oci.image.index.v1',
  ];
  const accept = types.map((type) => `application/vnd.${type}+json`).join(', ');
  const answer = await fetch(url, { method: 'HEAD', headers: { accept } });
  const digest = answer.headers.get('docker-content-digest');
  if (digest === null)
    throw new Error(`expected the registry to name a digest at ${url}, found status ${answer.status} without one`);
  return digest;
}
