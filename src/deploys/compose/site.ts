import { join, resolve } from 'node:path';
import type Docker from 'dockerode';
import type { Environment } from '../../domain/environment.ts';
import type { Refusal } from '../../domain/failures.ts';
import type { ComposeProgram } from '../../platform/compose/find-compose.ts';
import type { Credentials } from '../../platform/docker/images.ts';
import type { HostLock } from '../../platform/files/host-lock.ts';
import { safeName } from '../../platform/files/safe-name.ts';
import type { RunGit } from '../../platform/git/command.ts';
import type { Target } from '../deploy.ts';
import { composeFiles } from './files.ts';
import type { ComposeDeployPlan } from './plan.ts';
import { type ComposeLocation, type RenderedProject, readProject } from './project.ts';
import { requireCompose } from './query.ts';
import { isRefusal, refused } from './refusals.ts';
import { type DeployedService, findServices } from './services.ts';
import { type StageFiles, stageFiles } from './stage-files.ts';
import type { ComposeUp } from './up.ts';

export interface ComposeDeployerOptions {
  readonly docker: Docker;
  /** Landfall's own, with `DOCKER_HOST` if the configuration names it. Of it, programs get what they need. */
  readonly env: Environment;
  /** The registry's, for pulls. */
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  /** For checkouts that several stages share; the caller locks the directory itself. */
  readonly locks: HostLock;
  /** In the worker's data folder: override files, how far a deploy is, and the definitions that ran. */
  readonly folder: string;
  /** The git program; default: `git` on PATH. */
  readonly git?: string;
  readonly now?: () => Date;
  /** Whether this worker listens where Docker publishes ports, and so can try whether one is free. Default: false. */
  readonly isOnHost?: boolean;
}

export interface ComposeContext extends ComposeDeployerOptions {
  readonly run: RunGit;
  readonly now: () => Date;
}

export type ComposeTarget = Target<ComposeDeployPlan>;

/** What a deploy works with. */
export interface DeploySite {
  readonly compose: ComposeProgram;
  readonly location: ComposeLocation;
  readonly files: StageFiles;
  /** For what runs in the directory: see `runToEnd`. */
  readonly folder: string;
}

/** The state before anything changes. */
export interface CurrentState {
  readonly site: DeploySite;
  /** With the services that have containers, whatever their profiles are. */
  readonly project: RenderedProject;
  /** Those that are deployed. */
  readonly services: readonly DeployedService[];
}

/** Undefined if there are no compose files: they may come with the change. */
export async function findSite(context: ComposeContext, target: ComposeTarget): Promise<DeploySite | undefined> {
  const { directory, files, project } = target.deploy;
  const found = await composeFiles(directory, files, changedComposeFile(target));
  if (found === undefined) return undefined;
  return {
    compose: await requireCompose(context.env),
    location: { directory, files: found, ...(project !== undefined && { project }) },
    files: filesOf(context, target),
    folder: directoryFolder(context, target),
  };
}

/** The file that the stage changes, if it is a compose file. */
export function changedComposeFile({ stage: { change } }: ComposeTarget): string | undefined {
  return change?.target.kind === 'compose' ? change.file : undefined;
}

export function requireSite(site: DeploySite | undefined, { deploy: { directory, files } }: ComposeTarget): DeploySite {
  if (site !== undefined) return site;
  throw noFiles(directory, files);
}

export function noFiles(directory: string, files: readonly string[]): Refusal {
  const expected = files.length > 0 ? files.join(', ') : 'a compose file (compose.yaml, docker-compose.yml, ...)';
  return refused(`expected ${expected} in ${directory}, found none: put it there, or correct deploy.compose`);
}

export function filesOf({ folder }: ComposeContext, { plan, stage }: ComposeTarget): StageFiles {
  return stageFiles(join(folder, 'stages', safeName(plan.service, stage.name)));
}

/** Two stages of one directory must not meet there either. */
export function directoryFolder({ folder }: ComposeContext, { deploy }: ComposeTarget): string {
  return join(folder, 'directories', safeName(resolve(deploy.directory)));
}

/** Undefined if nothing can be read: no files yet, or some that Compose cannot read, which the change may put right. */
export async function readCurrentState(context: ComposeContext, target: ComposeTarget): Promise<CurrentState | undefined> {
  const site = await findSite(context, target);
  if (site === undefined) return undefined;
  try {
    return await currentStateOf(context, target, site);
  } catch (error) {
    if (isRefusal(error) && target.stage.change !== undefined) return undefined;
    throw error;
  }
}

async function currentStateOf({ docker }: ComposeContext, target: ComposeTarget, site: DeploySite): Promise<CurrentState> {
  const all = await readProject(site.compose, site.location, []);
  const services = await findServices(docker, all.name, target.deploy.services);
  const there = services.filter(({ containers }) => containers.length > 0).map(({ name }) => name);
  // Compose omits a service with a profile unless it is named; one that the files do not have any more is not asked for.
  const isWhole = there.every((name) => all.definition.services?.[name] !== undefined);
  const named = isWhole ? all : await readProject(site.compose, site.location, there).catch(unlessRefusal(all));
  return { site, project: named, services };
}

function unlessRefusal<Result>(instead: Result): (error: unknown) => Result {
  return (error) => {
    if (isRefusal(error)) return instead;
    throw error;
  };
}

export function upOf(
  { docker }: ComposeContext,
  { deploy: { timeoutMs } }: ComposeTarget,
  { compose, location, files, folder }: DeploySite,
  project: string,
  { services, pinned }: { readonly services: readonly string[]; readonly pinned: boolean },
): ComposeUp {
  const override = pinned ? { override: files.override } : {};
  return { docker, compose, location, project, services, timeoutMs, folder, ...override };
}
