import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { WorkflowHandle } from '@temporalio/client';
import type Docker from 'dockerode';
import { stringify } from 'yaml';
import { rolloutId } from '../../src/contracts/start-options.ts';
import type { Digest, Tag } from '../../src/domain/image-reference.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { ensureDocker, removeImagesOf } from '../../test/support/docker.ts';
import { createRemote, type GitRemote } from '../../test/support/git-remote.ts';
import { type ImageOptions, pushImage } from '../../test/support/images.ts';
import { type RunningLandfall, startLandfall } from '../../test/support/landfall.ts';
import { type Registry, startRegistry } from '../../test/support/registry.ts';
import { startTemporal, type TestTemporal } from '../../test/support/temporal.ts';

const run = promisify(execFile);
const hookToken = 'registry-hook-token';
export const composeFile = 'docker-compose.yml';

export const services = ['api', 'jobs', 'mail', 'shop', 'web'] as const;
export type Service = (typeof services)[number];

/** Five services in one deployment repository and one Compose project, all parts real and on this machine. */
export interface Site {
  readonly docker: Docker;
  readonly remote: GitRemote;
  readonly temporal: TestTemporal;
  readonly landfall: RunningLandfall;
  /** Starts Landfall again after it was killed. */
  start(): Promise<void>;
  push(service: Service, image: ImageOptions): Promise<Digest>;
  /** The registry's own notification, once more. @returns the status, or nothing where nobody answered */
  deliver(service: Service, digest: Digest): Promise<number | undefined>;
  rollout(service: Service, digest: Digest): WorkflowHandle;
  /** Takes the registry away for as long as `meanwhile` takes. */
  withoutRegistry(meanwhile: () => Promise<void>): Promise<void>;
  /** What Compose runs of a service. */
  containers(service: Service): Promise<readonly { readonly running: boolean; readonly digests: readonly string[] }[]>;
  /** Names of containers and networks that checks have in Docker. */
  leftOfChecks(): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startSite(root: string): Promise<Site> {
  const docker = await ensureDocker();
  const folder = await mkdtemp(join(tmpdir(), 'landfall-soak-'));
  const project = basename(folder).toLowerCase();
  const webhooks = `http://127.0.0.1:${await reservePort()}`;
  const notifications = { url: `${webhooks}/webhook/distribution`, headers: { Authorization: [`Bearer ${hookToken}`] } };
  let registry = await startRegistry({ notifications, folder: await mkdtemp(join(tmpdir(), 'landfall-soak-registry-')) });
  const { host } = registry;
  const temporal = await startTemporal({ databaseFile: join(folder, 'test-temporal.db') });
  const ports = await Promise.all(services.map(() => reservePort()));
  const remote = await createRemote({ files: { [composeFile]: composeText(host, ports), 'README.md': 'ours\n' } });
  const directory = join(folder, 'production');
  await run('git', ['clone', '--quiet', remote.folder, directory]);
  await cp(join(root, 'test/support/trivy-db/db'), join(folder, 'trivy', 'db'), { recursive: true });
  await mkdir(join(folder, 'data'), { recursive: true });
  const settings = { webhooks, operators: await reservePort(), host, remote: remote.folder, directory, project, ports };
  await writeFile(join(folder, 'landfall.yaml'), stringify(configuration(settings)));
  const env = { REGISTRY_HOOK_TOKEN: hookToken, ...temporal.env };
  let landfall = await startLandfall(folder, env);
  const ofProject = { label: [`com.docker.compose.project=${project}`] };

  return {
    docker,
    remote,
    temporal,
    get landfall() {
      return landfall;
    },
    async start() {
      landfall = await startLandfall(folder, env);
    },
    push: (service, image) => pushImage(registry, `team/${service}`, 'latest', image),
    deliver: (service, digest) => notify(notifications.url, { host, service, digest }),
    rollout: (service, digest) => temporal.client.workflow.getHandle(rolloutId(service, { tag: 'latest' as Tag, digest })),
    async withoutRegistry(meanwhile) {
      const { port, folder: stored } = registry;
      await registry.stop();
      await meanwhile();
      registry = await startRegistry({ notifications, folder: stored, port });
    },
    async containers(service) {
      const label = [...ofProject.label, `com.docker.compose.service=${service}`];
      const listed = await docker.listContainers({ all: true, filters: { label } });
      return await Promise.all(
        listed.map(async ({ ImageID, State }) => {
          const { RepoDigests = [] } = await docker.getImage(ImageID).inspect();
          return { running: State === 'running', digests: RepoDigests.map((each) => each.slice(each.indexOf('@') + 1)) };
        }),
      );
    },
    async leftOfChecks() {
      // Of this site's own: other runs may use the same daemon.
      const filters = { label: ['landfall.rollout'] };
      const containers = await docker.listContainers({ all: true, filters });
      return containers.filter(({ Image }) => Image.startsWith(`${host}/`)).map(({ Names }) => Names[0] ?? '');
    },
    async stop() {
      await landfall.stop();
      await temporal.stop();
      await removeProject(docker, ofProject);
      await removeImages(docker, registry);
      await registry.stop();
      await remote.destroy();
      await Promise.all([registry.folder, folder].map((path) => rm(path, { recursive: true, force: true })));
    },
  };
}

async function removeProject(docker: Docker, filters: { label: string[] }): Promise<void> {
  for (const { Id } of await docker.listContainers({ all: true, filters })) {
    await docker.getContainer(Id).remove({ force: true, v: true });
  }
  for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove();
}

/** What was kept for going back has a tag of Landfall's own, which has to go first. */
async function removeImages(docker: Docker, { host }: Registry): Promise<void> {
  for (const { RepoTags, RepoDigests } of await docker.listImages()) {
    if (!RepoDigests?.some((reference) => reference.startsWith(`${host}/`))) continue;
    const kept = (RepoTags ?? []).filter((tag) => tag.startsWith('landfall/keep:'));
    await Promise.allSettled(kept.map((tag) => docker.getImage(tag).remove()));
  }
  await removeImagesOf(docker, host);
}

function composeText(host: string, ports: readonly number[]): string {
  const each = services.map((service, index) =>
    [
      `  ${service}:`,
      `    image: ${host}/team/${service}:0.9`,
      '    restart: unless-stopped',
      '    stop_grace_period: 1s',
      `    ports: ["127.0.0.1:${ports[index]}:8080"]`,
    ].join('\n'),
  );
  return `services:\n${each.join('\n')}\n`;
}

interface Settings {
  readonly webhooks: string;
  readonly operators: number;
  readonly host: string;
  readonly remote: string;
  readonly directory: string;
  readonly project: string;
  readonly ports: readonly number[];
}

function configuration({ webhooks, operators, host, remote, directory, project, ports }: Settings): unknown {
  return {
    listen: { webhooks: new URL(webhooks).host, operators: `127.0.0.1:${operators}` },
    receivers: { distribution: { token: 'env:REGISTRY_HOOK_TOKEN' } },
    registries: { [host]: { plainHttp: true } },
    trivy: { cacheDir: 'trivy', offline: true },
    // A registry that is killed forgets the notifications that it has not sent yet.
    search: '10s',
    defaults: {
      tags: ['latest'],
      change: { repository: remote, base: 'main', file: composeFile },
      smoke: { timeout: '60s', stayUp: '500ms' },
      merge: 'auto',
      rollback: 'auto',
      deploy: { compose: { directory, project } },
    },
    services: services.map((name, index) => ({
      name,
      image: `${host}/team/${name}`,
      watch: {
        http: { url: `http://127.0.0.1:${ports[index]}/health` },
        for: '4s',
        interval: '500ms',
        failures: 2,
        startPeriod: '20s',
      },
    })),
  };
}

async function notify(url: string, { host, service, digest }: { host: string; service: string; digest: Digest }) {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const repository = `team/${service}`;
  const target = { mediaType, digest, repository, tag: 'latest', url: `http://${host}/v2/${repository}/manifests/${digest}` };
  const event = { id: randomUUID(), timestamp: new Date().toISOString(), action: 'push', target, request: { host } };
  const headers = {
    'content-type': 'application/vnd.docker.distribution.events.v2+json',
    authorization: `Bearer ${hookToken}`,
  };
  try {
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ events: [event] }) });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    // Landfall is being killed just now: the registry says it again, and the search finds it.
    return undefined;
  }
}
