import { execFile } from 'node:child_process';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import type { Digest } from '../../src/domain/image-reference.ts';
import { removeImagesOf } from './docker.ts';
import type { ImageOptions } from './images.ts';

const run = promisify(execFile);

/** Where a world deploys to: a checkout of its deployment repository, run with Docker Compose on this machine. */
export interface Production {
  readonly directory: string;
  readonly project: string;
  readonly port: number;
  readonly url: string;
  /** Containers of the service `web`, running ones first. */
  containers(): Promise<{ id: string; image: string; digests: string[]; running: boolean }[]>;
  /** Whether exactly one container runs, and it runs this digest. */
  runs(digest: Digest): Promise<boolean>;
  destroy(): Promise<void>;
}

/** An image that answers `200 well` at `/health`. */
export function healthyImage(version: string): ImageOptions {
  return {
    busybox: true,
    cmd: ['sh', '-c', 'httpd -f -p 8080 -h /www'],
    files: { 'www/health': 'well\n', 'www/version': version },
  };
}

/** One that answers like that for some seconds, and `404` from then on. */
export function fadingImage(version: string, afterSeconds = 2): ImageOptions {
  return {
    busybox: true,
    cmd: ['sh', '-c', `httpd -p 8080 -h /www; sleep ${afterSeconds}; rm /www/health; exec sleep 100000`],
    files: { 'www/health': 'well\n', 'www/version': version },
  };
}

interface Site {
  /** In which the checkout is made. */
  readonly folder: string;
  readonly remote: string;
  readonly port: number;
  /** The registry's. */
  readonly host: string;
}

/** The same, looked at by Docker itself every half second. */
export function lookedAt(image: ImageOptions): ImageOptions {
  const test = ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1:8080/health'];
  return { ...image, healthcheck: { test, intervalMs: 500, timeoutMs: 2_000, retries: 2 } };
}

/** Clones the deployment repository; nothing runs yet. */
export async function createProduction(docker: Docker, { folder, remote, port, host }: Site): Promise<Production> {
  const directory = join(folder, 'production');
  const project = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '');
  await run('git', ['clone', '--quiet', remote, directory]);
  const filters = { label: [`com.docker.compose.project=${project}`] };
  const production: Production = {
    directory,
    project,
    port,
    url: `http://127.0.0.1:${port}`,
    async containers() {
      const listed = await docker.listContainers({ all: true, filters });
      const described = listed.map(async ({ Id, Image, ImageID, State }) => ({
        id: Id,
        image: Image,
        digests: ((await docker.getImage(ImageID).inspect()).RepoDigests ?? []).map((each) => each.slice(each.indexOf('@') + 1)),
        running: State === 'running',
      }));
      return (await Promise.all(described)).sort((a, b) => Number(b.running) - Number(a.running));
    },
    async runs(digest) {
      const containers = await production.containers();
      return containers.length === 1 && containers[0]?.running === true && containers[0].digests.includes(digest);
    },
    async destroy() {
      for (const { Id } of await docker.listContainers({ all: true, filters })) {
        await docker.getContainer(Id).remove({ force: true, v: true });
      }
      for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove();
      await removeImages(docker, host);
    },
  };
  return production;
}

/** A compose file whose service `web` can be reached, with a neighbour that must never be touched. */
export function productionFile(host: string, port: number): string {
  return `# The services of this deployment.
services:
  web:
    image: ${host}/team/web:0.9 # pinned by Landfall
    restart: unless-stopped
    stop_grace_period: 1s
    ports: ["127.0.0.1:${port}:8080"]
  database:
    image: docker.io/library/postgres:16
`;
}

/** What was deployed, and what was kept of it under a tag of Landfall's own: by name, because others may run the same image. */
async function removeImages(docker: Docker, host: string): Promise<void> {
  for (const { RepoTags, RepoDigests } of await docker.listImages()) {
    // Docker 29 has names with a digest among the tags.
    const isOurs = [...(RepoDigests ?? []), ...(RepoTags ?? [])].some((reference) => reference.startsWith(`${host}/`));
    const kept = (RepoTags ?? []).filter((tag) => tag.startsWith('landfall/keep:'));
    if (isOurs) await Promise.allSettled(kept.map((tag) => docker.getImage(tag).remove()));
  }
  await removeImagesOf(docker, host);
}
