import { randomBytes } from 'node:crypto';
import type Docker from 'dockerode';
import type { Deployer, Target, Work } from '../../src/deploys/deploy.ts';
import { createDockerDeployer } from '../../src/deploys/docker/deployer.ts';
import { type DockerDeployPlan, findContainer } from '../../src/deploys/docker/slot.ts';
import type { Repository, Tag } from '../../src/domain/image-reference.ts';
import type { VerifiedImage } from '../../src/domain/outcomes.ts';
import type { Container } from '../../src/platform/docker/container.ts';
import { ensureImage } from '../../src/platform/docker/images.ts';
import { ensureDocker, removeImagesOf } from './docker.ts';
import { hostPlatform, type ImageOptions, pushImage } from './images.ts';
import { deployOf, planOf, stageOf, verifiedOf } from './plans.ts';
import { type Registry, startRegistry } from './registry.ts';

/** A registry, and containers of this daemon that only this test has. */
export interface DeployWorld {
  readonly docker: Docker;
  readonly registry: Registry;
  /** Begins the name of everything that the test makes. */
  readonly prefix: string;
  readonly warnings: string[];
  /** Pushes an image that stays up and stops at once; `version` tells them apart. */
  push(version: string, options?: ImageOptions): Promise<VerifiedImage>;
  /** Makes and starts a container, as its owner did, before anybody thought of deploying it. @returns its name */
  run(image: VerifiedImage, options?: Docker.ContainerCreateOptions & { readonly starts?: boolean }): Promise<string>;
  network(options?: Partial<Docker.NetworkCreateOptions>): Promise<string>;
  target(image: VerifiedImage, containers: readonly string[] | string, changes?: TargetChanges): Target<DockerDeployPlan>;
  /** A deployer over another connection, or with other settings. */
  deployer(changes?: Partial<Parameters<typeof createDockerDeployer>[0]>): Deployer<DockerDeployPlan>;
  inspect(name: string): Promise<Container>;
  /** A container with all that its deploys left beside it, and its volumes. */
  remove(name: string): Promise<void>;
  /** Names of all containers of the test, with `*` after those that run. */
  all(): Promise<string[]>;
  stop(): Promise<void>;
}

export interface TargetChanges {
  readonly rollout?: string;
  readonly timeoutMs?: number;
}

export const work = (changes: Partial<Work> = {}): Work => ({ turn: 1, signal: new AbortController().signal, ...changes });

export async function createDeployWorld(): Promise<DeployWorld> {
  const docker = await ensureDocker();
  const registry = await startRegistry();
  const prefix = `deploy-docker-${randomBytes(4).toString('hex')}`;
  const warnings: string[] = [];
  const networks: string[] = [];
  let made = 0;
  const log = { info() {}, warn: (_: object, message: string) => void warnings.push(message) };
  /** Volumes without a name have one once they were handed on, and do not go with their container any more. */
  const removeAll = async (ids: readonly string[]) => {
    const volumes = new Set<string>();
    for (const id of ids) {
      const container = await findContainer(docker, id);
      if (container === undefined) continue;
      for (const { Name = '' } of container.Mounts) if (/^[0-9a-f]{64}$/.test(Name)) volumes.add(Name);
      await docker.getContainer(id).remove({ force: true, v: true });
    }
    for (const name of volumes)
      await docker
        .getVolume(name)
        .remove()
        .catch(() => undefined);
  };
  const ownContainers = () => docker.listContainers({ all: true, filters: { name: [prefix] } });
  return {
    docker,
    registry,
    prefix,
    warnings,
    async push(version, options = {}) {
      const digest = await pushImage(registry, 'team/web', version, {
        busybox: true,
        cmd: ['sleep', '3600'],
        ...options,
        config: { StopSignal: 'SIGKILL', ...options.config },
        env: { VERSION: version, ...options.env },
      });
      const image = verifiedOf({ repository: `${registry.host}/team/web` as Repository, tag: version as Tag, digest });
      return { ...image, platforms: [{ platform: hostPlatform(), digest }] };
    },
    async run(image, { starts = true, ...options } = {}) {
      made += 1;
      const reference = `${image.repository}@${image.digest}`;
      await ensureImage(docker, reference, {
        platform: hostPlatform(),
        credentials: async () => undefined,
        signal: new AbortController().signal,
        now: () => new Date(),
      });
      const name = options.name ?? `${prefix}-web-${made}`;
      const container = await docker.createContainer({ Image: reference, ...options, name });
      if (starts) await container.start();
      return name;
    },
    async network(options = {}) {
      const name = `${prefix}-net-${networks.length}`;
      networks.push(name);
      await docker.createNetwork({ Name: name, ...options });
      return name;
    },
    target: (image, containers, { rollout = 'rollout:web:1', timeoutMs = 80_000 } = {}) => {
      const which = typeof containers === 'string' ? { label: containers } : { names: containers };
      const deploy: DockerDeployPlan = { containers: which, timeoutMs };
      const stage = stageOf('production', { deploy: deployOf('docker', deploy) });
      return { plan: planOf({ repository: image.repository, stages: [stage] }), stage, deploy, image, rollout };
    },
    deployer: (changes = {}) => createDockerDeployer({ docker, credentials: async () => undefined, log, ...changes }),
    async inspect(name) {
      const found = await findContainer(docker, name);
      if (found === undefined) throw new Error(`there is no container ${name}`);
      return found;
    },
    remove: (name) => removeAll([name, `${name}-landfall-before`, `${name}-landfall-next`]),
    async all() {
      const found = (await ownContainers()).map(({ Names, State }) => `${Names[0]?.slice(1)}${State === 'running' ? '*' : ''}`);
      return found.sort();
    },
    async stop() {
      await removeAll((await ownContainers()).map(({ Id }) => Id));
      for (const name of networks)
        await docker
          .getNetwork(name)
          .remove()
          .catch(() => undefined);
      const { Volumes } = await docker.listVolumes({ filters: { name: [prefix] } });
      for (const { Name } of Volumes ?? []) await docker.getVolume(Name).remove();
      await removeImagesOf(docker, registry.host);
      await registry.stop();
    },
  };
}
