import { join, resolve } from 'node:path';
import type Docker from 'dockerode';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import type { ComposeDeployPlan } from '../../domain/plan.ts';
import { explainUnreachable } from '../docker/errors.ts';
import type { Credentials } from '../docker/images.ts';
import { createGitRunner, type RunGit } from '../forge/git-command.ts';
import { updateCheckout } from './compose/checkout.ts';
import { type ComposeProgram, findCompose } from './compose/command.ts';
import { runCommands } from './compose/commands.ts';
import { composeFiles } from './compose/files.ts';
import { keepImages, keepTag, nameOfBefore, pullImage } from './compose/images.ts';
import { awaitLeftBehind } from './compose/program.ts';
import { agrees, type Place, type Project, pinsFor, readProject } from './compose/project.ts';
import { refused } from './compose/refusals.ts';
import { findServices, isBack, isDeployed, runningImages, type Service } from './compose/services.ts';
import { type Progress, type StageFiles, stageFiles } from './compose/stage-files.ts';
import { bringUp, type Up, waitForServices } from './compose/up.ts';
import type { Deployer, Target, Work } from './deployer.ts';
import type { HostLock } from './host-lock.ts';
import { placeName } from './place-name.ts';

export interface ComposeDeployerOptions {
  readonly docker: Docker;
  /** Landfall's own, with `DOCKER_HOST` where the configuration names it. Of it, programs get what they need. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The registry's, for pulls. */
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  /** For checkouts that several stages share; the directory itself is locked by whoever calls. */
  readonly locks: HostLock;
  /** In the worker's data folder: override files, and how far a deploy is. */
  readonly folder: string;
  /** The git program; default: `git` on PATH. */
  readonly git?: string;
  readonly now?: () => Date;
}

interface Deploying extends ComposeDeployerOptions {
  readonly run: RunGit;
  readonly now: () => Date;
}

type ComposeTarget = Target<ComposeDeployPlan>;

/** What a deploy works with. */
interface Site {
  readonly compose: ComposeProgram;
  readonly place: Place;
  readonly files: StageFiles;
  /** For what runs in the directory: see `runToEnd`. */
  readonly folder: string;
}

/**
 * `deploy: compose`: `docker compose up` of some services of a directory, with the checkout that the directory is in brought forward
 * first where the stage has a `change`. Whatever is there of other services, and of people, stays as it is.
 *
 * What the compose files do not pin by digest themselves, an override file pins, in the worker's data folder: always where there is no
 * `change` or only a tag is written, and after a roll-back until the repository agrees. A person who runs `docker compose up` there by
 * hand does not have the override, and gets what the files say.
 *
 * The commands `before` and `after` belong to a deploy, not to going back: a roll-back runs none. A command that was cut off with its
 * worker is run again.
 */
export function createComposeDeployer(options: ComposeDeployerOptions): Deployer<ComposeDeployPlan> {
  const run = createGitRunner(options.git ?? 'git', options.env);
  const deploying: Deploying = { ...options, run, now: options.now ?? (() => new Date()) };
  return {
    running: (target) => explained(() => running(deploying, target)),
    deploy: (target, work) => explained(() => deploy(deploying, target, work)),
    restore: (target, before, work) => explained(() => restore(deploying, target, before, work)),
    settle: (target) => explained(() => settle(deploying, target)),
  };
}

async function running(deploying: Deploying, target: ComposeTarget): Promise<readonly RunningImage[]> {
  const site = await findSite(deploying, target);
  // The files may come with the change.
  if (site === undefined && target.stage.change !== undefined) return [];
  const { compose, place } = requireSite(site, target);
  const { name } = await readProject(compose, place, []);
  return runningImages(await findServices(deploying.docker, name, target.deploy.services), target.image);
}

async function deploy(deploying: Deploying, target: ComposeTarget, work: Work): Promise<Deployed> {
  const { docker } = deploying;
  const { image, deploy: plan } = target;
  await awaitLeftBehind(directoryFolder(deploying, target), work.signal);
  const before = await progressOf(deploying, target);
  const found = before === undefined ? await findDeployed(deploying, target) : undefined;
  if (found !== undefined) return { kind: 'deployed', changed: false, running: found, text: 'it runs already' };

  const { site, project } = await update(deploying, target, work.signal);
  const pins = pinsFor(target, project, plan.directory);
  await pullImage(deploying, image, work.signal);
  const services = await findServices(docker, project.name, plan.services);
  await keepImages(docker, services, image, (name) => keepTag(target.plan.service, target.stage.name, name));

  let progress: Progress = before ?? { rollout: target.rollout, digest: image.digest, prepared: false, up: false };
  const advance = async (step: Partial<Progress>) => {
    progress = { ...progress, ...step };
    await site.files.writeProgress(progress);
  };
  await advance({});
  const commands = { target, env: deploying.env, folder: site.folder };
  if (!progress.prepared) await runCommands({ ...commands, which: 'before' }, work.signal);
  await advance({ prepared: true });
  work.signal.throwIfAborted();
  await site.files.writePins(pins);
  const up = upOf(deploying, target, site, project, { services: plan.services, pinned: Object.keys(pins).length > 0 });
  if (!progress.up || !services.every((service) => isDeployed(service, image))) await bringUp(up);
  await advance({ up: true });
  await waitForServices(up, work.signal);
  await runCommands({ ...commands, which: 'after' }, work.signal);
  const now = await findServices(docker, project.name, plan.services);
  await site.files.writeProgress(undefined);
  return { kind: 'deployed', changed: true, running: runningImages(now, image), text: recreated(now) };
}

/** Where an earlier try of the same deploy was cut off. */
async function progressOf(deploying: Deploying, { plan, stage, rollout, image }: ComposeTarget): Promise<Progress | undefined> {
  const before = await filesOf(deploying, plan.service, stage.name).readProgress();
  return before?.rollout === rollout && before.digest === image.digest ? before : undefined;
}

/** What runs, where the wanted image runs already: then neither checkout nor registry are asked. */
async function findDeployed(deploying: Deploying, target: ComposeTarget): Promise<RunningImage[] | undefined> {
  const site = await findSite(deploying, target);
  if (site === undefined) return undefined;
  const project = await readProject(site.compose, site.place, []).catch((error: unknown) => {
    // The change may put right what Compose cannot read now.
    if (error instanceof Refusal && target.stage.change !== undefined) return undefined;
    throw error;
  });
  if (project === undefined) return undefined;
  const services = await findServices(deploying.docker, project.name, target.deploy.services);
  return services.every((service) => isDeployed(service, target.image)) ? runningImages(services, target.image) : undefined;
}

/** The checkout brought forward, and what Compose makes of it. */
async function update(
  deploying: Deploying,
  target: ComposeTarget,
  signal: AbortSignal,
): Promise<{ readonly site: Site; readonly project: Project }> {
  const { change } = target.stage;
  const { directory, services } = target.deploy;
  if (change !== undefined) await updateCheckout(deploying.run, deploying.locks, directory, change, signal);
  const site = requireSite(await findSite(deploying, target), target);
  return { site, project: await readProject(site.compose, site.place, services) };
}

async function restore(
  deploying: Deploying,
  target: ComposeTarget,
  before: readonly RunningImage[],
  { signal }: Work,
): Promise<Deployed> {
  const { docker } = deploying;
  await awaitLeftBehind(directoryFolder(deploying, target), signal);
  const site = requireSite(await findSite(deploying, target), target);
  const meant = before.filter(({ name }) => target.deploy.services.includes(name));
  const names = meant.map(({ name }) => name);
  const project = await readProject(site.compose, site.place, names);
  const pins: Record<string, string> = {};
  for (const each of meant) pins[each.name] = await nameOfBefore(deploying, each, target.image, signal);
  const services = await findServices(docker, project.name, names);
  const isThere = (service: Service) => meant.some((each) => each.name === service.name && isBack(service, each));
  const toDo = services.filter((service) => !isThere(service)).map(({ name }) => name);
  signal.throwIfAborted();
  await site.files.writeProgress(undefined);
  await site.files.writePins(pins);
  const up = upOf(deploying, target, site, project, { services: names, pinned: meant.length > 0 });
  // Nobody is served by waiting for what is unhealthy.
  if (toDo.length > 0) await bringUp({ ...up, services: toDo, stopWithin: 2 });
  if (names.length > 0) await waitForServices(up, signal);
  const now = await findServices(docker, project.name, names);
  const text = toDo.length > 0 ? recreated(now.filter(({ name }) => toDo.includes(name))) : 'what ran before runs';
  return { kind: 'deployed', changed: toDo.length > 0, running: runningImages(now, target.image), text };
}

/** The override goes once the files say the same. After a roll-back that comes with the checkout, which is brought forward for it. */
async function settle(deploying: Deploying, target: ComposeTarget): Promise<void> {
  const pins = await filesOf(deploying, target.plan.service, target.stage.name).readPins();
  if (pins === undefined || target.stage.change === undefined) return;
  try {
    const { site, project } = await update(deploying, target, new AbortController().signal);
    if (agrees(project, pins)) await site.files.writePins({});
  } catch (error) {
    // Nothing depends on it: the next deploy looks again, and says what a person has to do.
    if (!(error instanceof Refusal) && !(error instanceof RateLimit)) throw error;
  }
}

async function findSite(deploying: Deploying, target: ComposeTarget): Promise<Site | undefined> {
  const { directory, files, project } = target.deploy;
  const { change } = target.stage;
  const found = await composeFiles(directory, files, change?.target.kind === 'compose' ? change.file : undefined);
  if (found === undefined) return undefined;
  return {
    compose: await findCompose(deploying.env),
    place: { directory, files: found, ...(project !== undefined && { project }) },
    files: filesOf(deploying, target.plan.service, target.stage.name),
    folder: directoryFolder(deploying, target),
  };
}

function requireSite(site: Site | undefined, { deploy: { directory, files } }: ComposeTarget): Site {
  if (site !== undefined) return site;
  const expected = files.length > 0 ? files.join(', ') : 'a compose file (compose.yaml, docker-compose.yml, ...)';
  throw refused(`expected ${expected} in ${directory}, found none: put it there, or correct deploy.compose`);
}

function filesOf({ folder }: Deploying, service: string, stage: string): StageFiles {
  return stageFiles(join(folder, 'stages', placeName(service, stage)));
}

/** Two stages of one directory must not meet there either. */
function directoryFolder({ folder }: Deploying, { deploy }: ComposeTarget): string {
  return join(folder, 'directories', placeName(resolve(deploy.directory)));
}

function upOf(
  { docker }: Deploying,
  { deploy: { timeoutMs } }: ComposeTarget,
  { compose, place, files, folder }: Site,
  project: Project,
  { services, pinned }: { readonly services: readonly string[]; readonly pinned: boolean },
): Up {
  const override = pinned ? { override: files.override } : {};
  return { docker, compose, place, project: project.name, services, timeoutMs, folder, ...override };
}

/** `recreated shop-web-1, shop-web-2` */
function recreated(services: readonly Service[]): string {
  const names = services.flatMap(({ containers }) => containers.map(({ container }) => container.Name.slice(1)));
  return `recreated ${names.sort().join(', ')}`;
}

async function explained<Result>(act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw explainUnreachable(error);
  }
}
