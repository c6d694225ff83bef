import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { reservePort } from '../../../src/platform/ports.ts';
import { findTool } from '../../../src/platform/tools.mjs';
import { createRemote, type GitRemote } from '../../../test/support/git-remote.ts';
import { hostPlatform, pushIndex } from '../../../test/support/images.ts';
import { type DemoOptions, startUndoable, type Undo } from '../present.ts';
import { createProduction, type Production } from '../production.ts';
import { startDemoRegistry } from '../registry.ts';
import { type Environment, run } from '../run.ts';
import { configurationHead, type DemoPlaces, startService, stopService } from '../service.ts';
import { sourceFiles, tellOfPushes } from './source.ts';

/** All that the demo of builds runs. */
export interface BuildPlaces {
  readonly folder: string;
  /** `127.0.0.1:PORT` of the registry, which tells nobody of what is pushed. */
  readonly registry: string;
  /** The repository of the image. */
  readonly image: string;
  readonly source: GitRemote;
  /** A person's clone of it. */
  readonly checkout: string;
  readonly deployment: GitRemote;
  readonly production: Production;
  readonly client: Client;
  readonly docker: string;
}

/** Trivy's folder for the straight-line script: two programs that share one would wait for each other. */
export const byHandTrivy = 'trivy-by-hand';

export async function startBuildPlaces(options: DemoOptions): Promise<BuildPlaces & { readonly stop: () => Promise<void> }> {
  return await startUndoable((undo) => start(options, undo));
}

async function start({ root, env, print }: DemoOptions, undo: Undo): Promise<BuildPlaces> {
  const docker = findTool('docker', env) ?? 'docker';
  const folder = await mkdtemp(join(tmpdir(), 'landfall-demo-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const ports = { webhooks: await reservePort(), operators: await reservePort(), temporal: await reservePort() };
  const secret = randomBytes(24).toString('hex');

  print('  a registry that tells nobody of what is pushed, and an image in it to build from');
  const { host: registry, stop } = await startDemoRegistry(undefined, env);
  undo.push(stop);
  const image = `${registry}/demo/web`;
  undo.push(() => removeImages(docker, registry, env));
  const endpoint = { host: registry, url: `http://${registry}` };
  const { digest } = await pushIndex(endpoint, 'base/busybox', '1', [{ busybox: true, platform: hostPlatform() }]);

  print('  a git repository whose hook tells Landfall of each push, and a deployment repository');
  const source = await createRemote({ files: sourceFiles(`${registry}/base/busybox:1@${digest}`) });
  undo.push(() => source.destroy());
  const script = fileURLToPath(new URL('./post-receive.ts', import.meta.url));
  await tellOfPushes(source, { script, webhook: `http://127.0.0.1:${ports.webhooks}/webhook/gitea`, secret });
  const checkout = join(folder, 'checkout');
  await run('git', ['clone', '--quiet', source.url, checkout], { env });
  const port = await reservePort();
  const deployment = await createRemote({ files: { 'docker-compose.yml': composeFile(image, port) } });
  undo.push(() => deployment.destroy());
  const production = await createProduction({ folder, port, remote: deployment.folder, registry, docker, env });
  undo.push(() => production.destroy());

  print('  Landfall, with its own Temporal server');
  for (const cache of ['trivy', byHandTrivy])
    await cp(join(root, 'test/support/trivy-db/db'), join(folder, cache, 'db'), { recursive: true });
  const places = { registry, image, source: source.url, deployment: deployment.folder, production, ...ports };
  await writeFile(join(folder, 'landfall.yaml'), configuration(places));
  const service = await startService(root, folder, { ...env, DEMO_GIT_SECRET: secret });
  undo.push(() => stopService(service, folder));
  const temporal = JSON.parse(await readFile(join(folder, 'data/temporal.json'), 'utf8'));
  const connection = await Connection.connect({ address: temporal.address });
  undo.push(() => connection.close());
  const client = new Client({ connection, namespace: temporal.namespace });
  return { folder, registry, image, source, checkout, deployment, production, client, docker };
}

/** The script that Landfall is measured against runs the same file beside it, at another port. */
const composeFile = (image: string, port: number) => `# What runs in production. Landfall proposes changes to it.
services:
  web:
    image: ${image}:none   # the shop window
    ports: ["127.0.0.1:\${WEB_PORT:-${port}}:8080"]
    stop_grace_period: 1s
    restart: unless-stopped
`;

interface Places extends DemoPlaces {
  readonly image: string;
  readonly source: string;
  readonly deployment: string;
  readonly production: Production;
}

/** For how long it has to stay healthy until it counts as delivered. */
export const watchedSeconds = 5;

function configuration({ image, source, deployment, production, ...places }: Places): string {
  return `${configurationHead(places, '127.0.0.1', 'gitea: { secrets: ["env:DEMO_GIT_SECRET"] }')}builds:
  - name: web
    source: { git: ${JSON.stringify(source)}, branch: main }
    image: "${image}"
    platforms: [${hostPlatform()}]
    latest: always
    smoke: { run: [sh, /app/test.sh] }
    scan: { failOn: critical }
services:
  - image: "${image}"
    tags: [latest]
    scan: { failOn: critical }
    smoke: { http: { port: 8080, path: /health }, timeout: 60s, stayUp: 1s }
    change: { repository: ${JSON.stringify(deployment)}, base: main, file: docker-compose.yml }
    merge: auto
    deploy: { compose: { directory: ${JSON.stringify(production.directory)}, project: ${production.project} } }
    watch: { http: { url: "${production.url}/health" }, for: ${watchedSeconds}s, interval: 1s, failures: 1, startPeriod: 10s }
    rollback: auto
`;
}

async function removeImages(docker: string, registry: string, env: Environment): Promise<void> {
  const found = await run(docker, ['image', 'ls', '--quiet', '--filter', `reference=${registry}/*/*`], { env });
  const ids = [...new Set(found.split(/\s+/).filter(Boolean))];
  if (ids.length > 0) await run(docker, ['image', 'rm', '--force', ...ids], { env });
}
