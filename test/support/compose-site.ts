import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import type { ComposeDeployerOptions, ComposeDeployPlan } from '../../src/deploys/compose/context.ts';
import { createComposeDeployer } from '../../src/deploys/compose/deployer.ts';
import type { Deployer, Target, Work } from '../../src/deploys/deploy.ts';
import { Refusal } from '../../src/domain/failures.ts';
import { type Digest, parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import type { VerifiedImage } from '../../src/domain/outcomes.ts';
import type { ChangePlan, StagePlan } from '../../src/domain/plan.ts';
import { removeContainer, removeNetwork } from '../../src/platform/docker/remove.ts';
import { createHostLock } from '../../src/platform/files/host-lock.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { removeImagesOf } from './docker.ts';
import { createRemote, type Files, type GitRemote, gitEnvironment } from './git-remote.ts';
import { hostPlatform, type ImageOptions, pushImage } from './images.ts';
import { deployOf, planOf, stageOf } from './plans.ts';
import type { Registry } from './registry.ts';

const run = promisify(execFile);

/** What a stage is deployed with, where a test wants it otherwise. */
export interface SiteTarget {
  /** False: the stage has none. */
  readonly change?: Partial<ChangePlan> | false;
  readonly deploy?: Partial<ComposeDeployPlan>;
  readonly rollout?: string;
}

/** A folder with a compose file, in a checkout of a deployment repository, and an image repository beside it. */
export interface ComposeSite {
  readonly docker: Docker;
  readonly registry: Registry;
  readonly remote: GitRemote;
  /** The checkout; its name is the compose project's. */
  readonly directory: string;
  readonly project: string;
  /** Of Landfall: different for every site. */
  readonly service: string;
  /** What the deployer keeps. */
  readonly data: string;
  readonly deployer: Deployer<ComposeDeployPlan>;
  readonly options: ComposeDeployerOptions;
  /** Pushes an image that runs until it is stopped, another one for each version and site. */
  image(version: string, options?: ImageOptions): Promise<VerifiedImage>;
  target(image: VerifiedImage, options?: SiteTarget): Target<ComposeDeployPlan>;
  stage(options?: SiteTarget): StagePlan;
  work(signal?: AbortSignal): Work;
  /** `docker compose` in the folder, as a person runs it. */
  compose(...args: string[]): Promise<string>;
  /** The same, killed by the signal. */
  composeUntil(signal: AbortSignal, ...args: string[]): Promise<string>;
  /** A Docker Compose that runs a shell script in the folder before each of these commands. @returns its path */
  composeThat(command: string, first: string): Promise<string>;
  git(...args: string[]): Promise<string>;
  /** Ids of the service's containers, also of those that do not run. */
  containers(service: string): Promise<string[]>;
  write(files: Readonly<Record<string, string>>): Promise<void>;
  read(file: string): Promise<string>;
  destroy(): Promise<void>;
}

/** The refusal that something ends with. */
export async function refusalOf(attempt: Promise<unknown>): Promise<Refusal> {
  const error = await attempt.then(
    (outcome) => assert.fail(`expected a refusal, found ${JSON.stringify(outcome)}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Refusal, error instanceof Error ? error.stack : String(error));
  return error;
}

/** `repository:tag@digest` */
export function pinned({ repository, tag, digest }: VerifiedImage): string {
  return `${repository}:${tag}@${digest}`;
}

/** A compose file with these services, each killed at once when it is stopped. */
export function composeText(images: Readonly<Record<string, string>>, more: Readonly<Record<string, object>> = {}): string {
  const services = Object.entries(images).map(([name, image]) => [name, { image, stop_grace_period: '0s', ...more[name] }]);
  return JSON.stringify({ services: Object.fromEntries(services) }, undefined, 2);
}

/** @param files of the repository's first commit, made from the first image */
export async function createComposeSite(
  docker: Docker,
  registry: Registry,
  files: (first: VerifiedImage) => Files,
  options: Partial<ComposeDeployerOptions> = {},
): Promise<ComposeSite> {
  const base = await mkdtemp(join(tmpdir(), 'landfall-compose-'));
  const service = `shop-${randomUUID().slice(0, 8)}`;
  const name = `${service}/web`;
  const project = `lf-compose-${randomUUID().slice(0, 8)}`;
  const directory = join(base, project);
  const data = join(base, 'data');
  const env = { ...gitEnvironment(), HOME: process.env.HOME, ...options.env };

  async function image(version: string, more: ImageOptions = {}): Promise<VerifiedImage> {
    const digest = await pushImage(registry, name, version, {
      busybox: true,
      cmd: ['sleep', '600'],
      // Other tests on this daemon have their own.
      env: { VERSION: version, SITE: service },
      ...more,
    });
    return verified(`${registry.host}/${name}`, version, digest);
  }

  const remote = await createRemote({ files: files(await image('1')) });
  await run('git', ['clone', '--quiet', remote.folder, directory], { env });
  const compose = composeProgram(env);
  const all: ComposeDeployerOptions = {
    docker,
    env,
    credentials: async () => undefined,
    locks: createHostLock(join(data, 'locks')),
    folder: join(data, 'deploy'),
    isOnHost: true,
    ...options,
  };

  async function runCompose(args: readonly string[], kill: { signal?: AbortSignal; killSignal?: NodeJS.Signals } = {}) {
    return (await run(compose, args, { cwd: directory, env: { ...env, PWD: directory }, ...kill })).stdout;
  }

  const deployed = (deploy: SiteTarget['deploy'] = {}): ComposeDeployPlan => ({
    ...{ directory, files: [], services: ['web'], before: [], after: [], timeoutMs: 120_000, others: 'apply' },
    ...deploy,
  });
  const stage: ComposeSite['stage'] = ({ change, deploy } = {}) => {
    const { change: usual, ...rest } = stageOf('production', { merge: 'auto' });
    const wanted = change === false || usual === undefined ? undefined : { ...usual, repository: remote.url, ...change };
    return {
      ...rest,
      ...(wanted && { change: wanted }),
      deploy: deployOf('compose', deployed(deploy)),
    };
  };

  return {
    docker,
    registry,
    remote,
    directory,
    project,
    service,
    data,
    options: all,
    deployer: createComposeDeployer(all),
    image,
    stage,
    target(wanted, more = {}) {
      const only = stage(more);
      const plan = planOf({ service, repository: wanted.repository, stages: [only] });
      const rollout = more.rollout ?? `rollout:${service}:${wanted.tag}`;
      return { plan, stage: only, deploy: deployed(more.deploy), image: wanted, rollout };
    },
    work: (signal = new AbortController().signal) => ({ turn: 1, signal }),
    compose: (...args) => runCompose(args),
    composeUntil: (signal, ...args) => runCompose(args, { signal, killSignal: 'SIGKILL' }),
    async composeThat(command, first) {
      const path = join(base, `compose-${command}`);
      const script = `case " $* " in *" ${command} "*) (cd '${directory}' && ${first}) ;; esac\nexec '${compose}' "$@"`;
      await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      return path;
    },
    async git(...args) {
      return (
        await run('git', ['-C', directory, '-c', 'user.name=Ann', '-c', 'user.email=ann@example.org', ...args], { env })
      ).stdout.trim();
    },
    async containers(of) {
      const label = [`com.docker.compose.project=${project}`, `com.docker.compose.service=${of}`];
      return (await docker.listContainers({ all: true, filters: { label } })).map(({ Id }) => Id).sort();
    },
    async write(texts) {
      await mkdir(directory, { recursive: true });
      for (const [file, text] of Object.entries(texts)) await writeFile(join(directory, file), text);
    },
    read: (file) => readFile(join(directory, file), 'utf8'),
    async destroy() {
      const label = [`com.docker.compose.project=${project}`];
      for (const { Id } of await docker.listContainers({ all: true, filters: { label } })) await removeContainer(docker, Id);
      for (const { Id } of await docker.listNetworks({ filters: { label } })) await removeNetwork(docker, Id);
      const kept = await docker.listImages({ filters: { reference: ['landfall/keep'] } });
      const tags = kept.flatMap(({ RepoTags }) => RepoTags ?? []);
      for (const tag of tags) if (tag.startsWith(`landfall/keep:${service}-`)) await docker.getImage(tag).remove();
      await removeImagesOf(docker, registry.host);
      await remote.destroy();
      await rm(base, { recursive: true, force: true });
    },
  };
}

function composeProgram(env: Readonly<Record<string, string | undefined>>): string {
  const found = findTool('docker-compose', env);
  if (found === undefined) throw new Error('these tests need docker-compose: node scripts/setup.mjs test');
  return found;
}

function verified(repository: string, tag: string, digest: Digest): VerifiedImage {
  return {
    repository: parseRepository(repository),
    tag: tag as Tag,
    digest,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    platforms: [{ platform: hostPlatform(), digest }],
    size: 1,
  };
}
