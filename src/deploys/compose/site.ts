import { join, resolve } from 'node:path';
import type Docker from 'dockerode';
import type { Refusal } from '../../domain/failures.ts';
import type { ComposeDeployPlan } from '../../domain/plan.ts';
import type { ComposeProgram } from '../../platform/compose/find-compose.ts';
import type { Credentials } from '../../platform/docker/images.ts';
import type { HostLock } from '../../platform/files/host-lock.ts';
import { placeName } from '../../platform/files/place-name.ts';
import type { RunGit } from '../../platform/git/command.ts';
import type { Target } from '../deployer.ts';
import { requireCompose } from './command.ts';
import { composeFiles } from './files.ts';
import { type Place, type Project, readProject } from './project.ts';
import { isRefusal, refused } from './refusals.ts';
import { findServices, type Service } from './services.ts';
import { type StageFiles, stageFiles } from './stage-files.ts';
import type { Up } from './up.ts';

export interface ComposeDeployerOptions {
  readonly docker: Docker;
  /** Landfall's own, with `DOCKER_HOST` where the configuration names it. Of it, programs get what they need. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The registry's, for pulls. */
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  /** For checkouts that several stages share; the directory itself is locked by whoever calls. */
  readonly locks: HostLock;
  /** In the worker's data folder: override files, how far a deploy is, and the definitions that ran. */
  readonly folder: string;
  /** The git program; default: `git` on PATH. */
  readonly git?: string;
  readonly now?: () => Date;
  /** Whether this worker listens where Docker publishes ports, and so can try whether one is free. Default: false. */
  readonly isOnHost?: boolean;
}

export interface Deploying extends ComposeDeployerOptions {
  readonly run: RunGit;
  readonly now: () => Date;
}

export type ComposeTarget = Target<ComposeDeployPlan>;

/** What a deploy works with. */
export interface Site {
  readonly compose: ComposeProgram;
  readonly place: Place;
  readonly files: StageFiles;
  /** For what runs in the directory: see `runToEnd`. */
  readonly folder: string;
}

/** What is there before anything changes. */
export interface Present {
  readonly site: Site;
  /** With the services that have containers, whatever their profiles are. */
  readonly project: Project;
  /** Those that are deployed. */
  readonly services: readonly Service[];
}

/** Undefined where there are no compose files: they may come with the change. */
export async function findSite(deploying: Deploying, target: ComposeTarget): Promise<Site | undefined> {
  const { directory, files, project } = target.deploy;
  const found = await composeFiles(directory, files, changedComposeFile(target));
  if (found === undefined) return undefined;
  return {
    compose: await requireCompose(deploying.env),
    place: { directory, files: found, ...(project !== undefined && { project }) },
    files: filesOf(deploying, target),
    folder: directoryFolder(deploying, target),
  };
}

/** The file that the stage changes, where it is a compose file. */
export function changedComposeFile({ stage: { change } }: ComposeTarget): string | undefined {
  return change?.target.kind === 'compose' ? change.file : undefined;
}

export function requireSite(site: Site | undefined, { deploy: { directory, files } }: ComposeTarget): Site {
  if (site !== undefined) return site;
  throw noFiles(directory, files);
}

export function noFiles(directory: string, files: readonly string[]): Refusal {
  const expected = files.length > 0 ? files.join(', ') : 'a compose file (compose.yaml, docker-compose.yml, ...)';
  return refused(`expected ${expected} in ${directory}, found none: put it there, or correct deploy.compose`);
}

export function filesOf({ folder }: Deploying, { plan, stage }: ComposeTarget): StageFiles {
  return stageFiles(join(folder, 'stages', placeName(plan.service, stage.name)));
}

/** Two stages of one directory must not meet there either. */
export function directoryFolder({ folder }: Deploying, { deploy }: ComposeTarget): string {
  return join(folder, 'directories', placeName(resolve(deploy.directory)));
}

/** Undefined where nothing can be read: no files yet, or some that Compose cannot read, which the change may put right. */
export async function lookAtPresent(deploying: Deploying, target: ComposeTarget): Promise<Present | undefined> {
  const site = await findSite(deploying, target);
  if (site === undefined) return undefined;
  try {
    return await presentOf(deploying, target, site);
  } catch (error) {
    if (isRefusal(error) && target.stage.change !== undefined) return undefined;
    throw error;
  }
}

async function presentOf({ docker }: Deploying, target: ComposeTarget, site: Site): Promise<Present> {
  const all = await readProject(site.compose, site.place, []);
  const services = await findServices(docker, all.name, target.deploy.services);
  const there = services.filter(({ containers }) => containers.length > 0).map(({ name }) => name);
  // A service behind a profile is named, or Compose leaves it out; one that is there no more is not asked for.
  const isWhole = there.every((name) => all.definition.services?.[name] !== undefined);
  const named = isWhole ? all : await readProject(site.compose, site.place, there).catch(unlessRefusal(all));
  return { site, project: named, services };
}

function unlessRefusal<Result>(instead: Result): (error: unknown) => Result {
  return (error) => {
    if (isRefusal(error)) return instead;
    throw error;
  };
}

export function upOf(
  { docker }: Deploying,
  { deploy: { timeoutMs } }: ComposeTarget,
  { compose, place, files, folder }: Site,
  project: string,
  { services, pinned }: { readonly services: readonly string[]; readonly pinned: boolean },
): Up {
  const override = pinned ? { override: files.override } : {};
  return { docker, compose, place, project, services, timeoutMs, folder, ...override };
}
