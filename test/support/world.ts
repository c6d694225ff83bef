import { createHmac } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import type Docker from 'dockerode';
import { stringify } from 'yaml';
import type { Timing } from '../../scripts/setup/build.mjs';
import { stateQuery } from '../../src/contracts/messages.ts';
import { rolloutId } from '../../src/contracts/start-options.ts';
import type { Digest, Tag } from '../../src/domain/image-reference.ts';
import type { RolloutState, RolloutStatus } from '../../src/domain/rollout-state.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { createRemote, type GitRemote } from './git-remote.ts';
import { type GitHub, startGitHub, token } from './github/server.ts';
import { type ImageOptions, pushImage } from './images.ts';
import { type RunningLandfall, startLandfall } from './landfall.ts';
import { createProduction, type Production, productionFile } from './production.ts';
import { type Registry, startRegistry } from './registry.ts';
import { startNamespace, type TestNamespace } from './temporal.ts';
import { eventually } from './wait.ts';

const offlineDatabase = fileURLToPath(new URL('./trivy-db/', import.meta.url));
const hookToken = 'registry-hook-token';
const webhookSecret = 'webhook-secret';

export interface WorldOptions {
  readonly forge: 'git' | 'github';
  /** What clients see of the registry: a proxy in front of it. Given its real `host`, answers the host to use. */
  readonly inFront?: (registry: Registry) => Promise<string>;
  /** Merged into the configuration file. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  /** Merged into the service of `team/web`. */
  readonly service?: Readonly<Record<string, unknown>>;
  /** Further services, of the registry's host. */
  readonly services?: (host: string) => readonly Readonly<Record<string, unknown>>[];
  /** The embedded server instead of one of the tests. */
  readonly embedded?: boolean;
  /** For whoever stops or freezes the server: one of their own. A namespace of a shared one otherwise. */
  readonly temporal?: TestNamespace;
  /** Secrets beside the world's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** The service is merged, deployed with Docker Compose from a checkout, and watched. Docker: whose daemon. */
  readonly production?: Docker;
  /** What Landfall sees of the forge at GitHub: a gate in front of it. Given its URL, answers the URL to use. */
  readonly inFrontOfForge?: (url: string) => Promise<string>;
}

/** Everything real: registry with notifications, Temporal, Docker, Trivy, git or the GitHub emulator, and Landfall as a process. */
export interface World {
  readonly folder: string;
  readonly registry: Registry;
  /** Registry host as Landfall and Docker know it. */
  readonly host: string;
  readonly temporal: TestNamespace;
  readonly github: GitHub;
  readonly remote: GitRemote;
  /** Where `production` was asked for. */
  readonly production: Production;
  readonly webhooks: string;
  readonly operators: string;
  landfall(): RunningLandfall;
  /** The end of what Landfall has printed, for a test that failed. */
  lastWords(): string;
  /** Starts Landfall (again); `quick`: with a build that notices in 3 s that it was killed. */
  start(timing?: Timing): Promise<RunningLandfall>;
  push(tag: string, image?: ImageOptions): Promise<Digest>;
  /** The delivery that GitHub sends for a push; `path`: of another image than `team/web`. */
  deliver(tag: string, digest: Digest, options?: { deliveryId?: string; path?: string }): Promise<Response>;
  rollout(tag: string, digest: Digest): WorkflowHandle;
  /** Waits until a rollout has a status, and answers its state. */
  until(tag: string, digest: Digest, status: RolloutStatus, withinMs?: number): Promise<RolloutState>;
  stop(): Promise<void>;
}

export const composeFile = `# The services of this deployment.
services:
  web:
    image: HOST/team/web:0.9 # pinned by Landfall
    restart: unless-stopped
  database:
    image: docker.io/library/postgres:16
`;

/** An image that stays up. */
export const goodImage: ImageOptions = { busybox: true, cmd: ['sleep', '3600'] };

export async function startWorld(options: WorldOptions): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-world-'));
  const [port, operatorsPort] = [await reservePort(), await reservePort()];
  const webhooks = `http://127.0.0.1:${port}`;
  const registry = await startRegistry({
    notifications: { url: `${webhooks}/webhook/distribution`, headers: { Authorization: [`Bearer ${hookToken}`] } },
  });
  const host = (await options.inFront?.(registry)) ?? registry.host;
  const temporal = options.temporal ?? (await startNamespace());
  const github = await startGitHub();
  const productionPort = await reservePort();
  const isDeployed = options.production !== undefined;
  const files = { 'docker-compose.yml': isDeployed ? productionFile(host, productionPort) : composeFile.replace('HOST', host) };
  const remote = await createRemote({ files });
  await github.createRepository('team/deployment', { files });
  const deploymentFolder = options.forge === 'git' ? remote.folder : github.folder('team/deployment');
  const production =
    options.production &&
    (await createProduction(options.production, { folder, remote: deploymentFolder, port: productionPort, host }));
  await cp(join(offlineDatabase, 'db'), join(folder, 'trivy', 'db'), { recursive: true });
  await mkdir(join(folder, 'data'), { recursive: true });
  const configuration = {
    listen: { webhooks: `127.0.0.1:${port}`, operators: `127.0.0.1:${operatorsPort}` },
    receivers: { distribution: { token: 'env:REGISTRY_HOOK_TOKEN' }, github: { secrets: ['env:WEBHOOK_SECRET'] } },
    registries: { [host]: { plainHttp: true }, [registry.host]: { plainHttp: true } },
    trivy: { cacheDir: 'trivy', offline: true },
    // What is pushed in a test is to come by its webhook alone.
    search: 'off',
    forge: { github: { token: 'env:GITHUB_TOKEN', url: (await options.inFrontOfForge?.(github.url)) ?? github.url } },
    ...options.configuration,
    services: [
      {
        name: 'web',
        image: `${host}/team/web`,
        tags: ['latest'],
        smoke: { timeout: '30s', stayUp: '500ms' },
        change: {
          repository: options.forge === 'git' ? remote.folder : 'team/deployment',
          base: 'main',
          file: 'docker-compose.yml',
        },
        ...(production && deliveryTo(production)),
        ...options.service,
      },
      ...(options.services?.(host) ?? []),
    ],
  };
  await writeFile(join(folder, 'landfall.yaml'), stringify(configuration));
  const env = {
    REGISTRY_HOOK_TOKEN: hookToken,
    WEBHOOK_SECRET: webhookSecret,
    GITHUB_TOKEN: token,
    ...options.env,
    ...(options.embedded ? { TEMPORAL_ADDRESS: '' } : temporal.env),
  };
  let running: RunningLandfall | undefined;
  const idOf = (tag: string, digest: Digest): string => rolloutId('web', { tag: tag as Tag, digest });
  const world: World = {
    folder,
    registry,
    host,
    temporal,
    github,
    remote,
    get production() {
      if (production === undefined) throw new Error('this world deploys nothing');
      return production;
    },
    webhooks,
    operators: `http://127.0.0.1:${operatorsPort}`,
    landfall() {
      if (running === undefined) throw new Error('Landfall is not running');
      return running;
    },
    lastWords: () => running?.output().slice(-6_000) ?? 'Landfall did not start',
    async start(timing) {
      running = await startLandfall(folder, env, timing);
      return running;
    },
    // No two worlds have the same image: its digest is in the names of what a rollout starts, and Docker is theirs together.
    push: (tag, image = goodImage) =>
      pushImage(registry, 'team/web', tag, { ...image, labels: { ...image.labels, world: folder } }),
    deliver: (tag, digest, { deliveryId = 'delivery', path = 'team/web' } = {}) => {
      const body = JSON.stringify(githubPush(host, path, tag, digest));
      const signature = createHmac('sha256', webhookSecret).update(body).digest('hex');
      return fetch(`${webhooks}/webhook/image-published`, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'x-github-event': 'registry_package',
          'x-github-delivery': deliveryId,
          'x-hub-signature-256': `sha256=${signature}`,
        },
      });
    },
    rollout: (tag, digest) => temporal.client.workflow.getHandle(idOf(tag, digest)),
    until: async (tag, digest, status, withinMs = 110_000) => {
      const rollout = world.rollout(tag, digest);
      try {
        return await eventually(`${idOf(tag, digest)} to be ${status}`, () => stateIs(rollout, status), withinMs);
      } catch (error) {
        const state = await rollout.query(stateQuery).catch(String);
        throw new Error(`it is still ${JSON.stringify(state)}`, { cause: error });
      }
    },
    async stop() {
      const stopped = running?.stop();
      await stopped;
      await production?.destroy();
      await temporal.stop();
      await registry.stop();
      await remote.destroy();
      await rm(folder, { recursive: true, force: true });
      await github.stop();
    },
  };
  return world;
}

/** Merged by Landfall, deployed, watched for some seconds, and rolled back by itself. */
function deliveryTo({ directory, project, url }: Production): Readonly<Record<string, unknown>> {
  return {
    merge: 'auto',
    deploy: { compose: { directory, project } },
    watch: { http: { url: `${url}/health` }, for: '4s', interval: '500ms', failures: 1, startPeriod: '10s' },
    rollback: 'auto',
  };
}

async function stateIs(handle: WorkflowHandle, status: RolloutStatus): Promise<RolloutState | undefined> {
  try {
    const state = await handle.query(stateQuery);
    return state.status === status ? state : undefined;
  } catch (error) {
    // Not started yet, or its worker or server is away just now.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

/** The documented form of GitHub's event, as a GitHub App gets it. */
function githubPush(host: string, path: string, tag: string, digest: Digest): unknown {
  return {
    action: 'published',
    registry_package: {
      name: path.slice(path.lastIndexOf('/') + 1),
      package_type: 'CONTAINER',
      package_version: {
        version: digest,
        package_url: `${host}/${path}:${tag}`,
        container_metadata: { tag: { name: tag, digest } },
      },
    },
    repository: { full_name: path },
    sender: { login: 'octocat' },
  };
}

/** What a world's configuration file says. */
export function readConfiguration({ folder }: World): Promise<string> {
  return readFile(join(folder, 'landfall.yaml'), 'utf8');
}
