import { resolve } from 'node:path';
import { RateLimit } from '../../domain/failures.ts';
import { toldChanges } from '../../domain/other-changes.ts';
import type { Deployed, OtherChanges, RunningImage } from '../../domain/outcomes.ts';
import { explainUnreachable } from '../../platform/docker/errors.ts';
import { requireScanned } from '../../platform/docker/scanned.ts';
import { createGitRunner } from '../../platform/git/command.ts';
import type { Deployer, Foreseeing, Work } from '../deploy.ts';
import { fastForward, withCheckoutUpdate } from './checkout.ts';
import { withImages } from './definition.ts';
import { awaitLeftBehind } from './detached-program.ts';
import { requireHost } from './host-requirements.ts';
import { keepImages, keepTag, pullImage } from './images.ts';
import { type CommitHistory, historyOf, type NextDefinition, withNext } from './next.ts';
import { othersOf, requireAccepted } from './other-changes.ts';
import type { ComposeDeployPlan } from './plan.ts';
import { agrees, pinsFor, type RenderedProject, readProject } from './project.ts';
import { isRefusal } from './refusals.ts';
import { rollBack } from './rollback.ts';
import { definitionOfRunning, keepCurrent } from './running-definition.ts';
import { findServices, isDeployed, recreated, runningImages } from './services.ts';
import {
  type ComposeContext,
  type ComposeDeployerOptions,
  type ComposeTarget,
  type CurrentState,
  type DeploySite,
  directoryFolder,
  filesOf,
  findSite,
  readCurrentState,
  requireSite,
  upOf,
} from './site.ts';
import { runCommands } from './stage-commands.ts';
import type { DeployProgress, StageFiles, StoredDefinition } from './stage-files.ts';
import { waitForServices } from './up.ts';
import { bringUpOrRollBack } from './up-with-rollback.ts';

export type { ComposeDeployerOptions } from './site.ts';

/**
 * `deploy: compose`: `docker compose up` of some services of a directory, with the checkout that the directory is in brought forward
 * first if the stage has a `change`. Other services of the project, and people's files, stay as they are.
 *
 * What the compose files do not pin by digest themselves, an override file pins, in the worker's data folder: always if there is no
 * `change` or only a tag is written, and after a rollback until the repository agrees. A person who runs `docker compose up` there by
 * hand does not have the override, and gets what the files say.
 *
 * The commands `before` and `after` belong to a deploy: a rollback runs none. A command that was interrupted because its worker died is run
 * again.
 */
export function createComposeDeployer(options: ComposeDeployerOptions): Deployer<ComposeDeployPlan> {
  const run = createGitRunner(options.git ?? 'git', options.env);
  const context: ComposeContext = { ...options, run, now: options.now ?? (() => new Date()) };
  return {
    lockOf: ({ directory }) => `compose ${resolve(directory)}`,
    running: (target) => explained(() => running(context, target)),
    foresee: (target, work) => explained(() => foresee(context, target, work)),
    deploy: (target, work) => explained(() => deploy(context, target, work)),
    restore: (target, before, work) => explained(() => rollBack(context, target, before, work)),
    settle: (target) => explained(() => settle(context, target)),
  };
}

async function running(context: ComposeContext, target: ComposeTarget): Promise<readonly RunningImage[]> {
  const site = await findSite(context, target);
  // The files may come with the change.
  if (site === undefined && target.stage.change !== undefined) return [];
  const { compose, location } = requireSite(site, target);
  const { name } = await readProject(compose, location, []);
  return runningImages(await findServices(context.docker, name, target.deploy.services), target.image);
}

/** Refuses whatever it can before anything is merged, and finds what would change besides the image. */
async function foresee(
  context: ComposeContext,
  target: ComposeTarget,
  { signal, accepted }: Foreseeing,
): Promise<OtherChanges | undefined> {
  const { docker, isOnHost = false } = context;
  const { services: names, directory } = target.deploy;
  const current = await readCurrentState(context, target);
  return await withNext(context, target, signal, async (next) => {
    const { project } = next;
    pinsFor(target, project, directory);
    const services = current?.services ?? (await findServices(docker, project.name, names));
    await requireHost({ docker, definition: project.definition, services, isOnHost });
    const ran = current && (await definitionOfRunning(context, target, current));
    const others = await othersFor(filesOf(context, target), ran, next);
    requireAccepted(target, others, accepted);
    return others;
  });
}

async function deploy(context: ComposeContext, target: ComposeTarget, work: Work): Promise<Deployed> {
  const { docker, isOnHost = false } = context;
  const { image, deploy: plan } = target;
  await awaitLeftBehind(directoryFolder(context, target), work.signal);
  const before = await progressOf(context, target);
  const current = await readCurrentState(context, target);
  const found = before === undefined && current !== undefined && runsAlready(current, image);
  if (found)
    return { kind: 'deployed', changed: false, running: runningImages(current.services, image), text: 'it runs already' };
  const ran = await keepBefore(context, target, current, before);

  const { site, project, others } = await update(context, target, work.signal, ran);
  requireAccepted(target, others, work.accepted);
  const pins = pinsFor(target, project, plan.directory);
  const services = await findServices(docker, project.name, plan.services);
  if (before === undefined) await requireHost({ docker, definition: project.definition, services, isOnHost });
  await pullImage(context, image, work.signal);
  await requireScanned(docker, target.plan, image);
  await keepImages(docker, services, image, (name) => keepTag(target.plan.service, target.stage.name, name));

  let progress: DeployProgress = before ?? { rollout: target.rollout, digest: image.digest, prepared: false, up: false };
  const advance = async (step: Partial<DeployProgress>) => {
    progress = { ...progress, ...step };
    await site.files.writeProgress(progress);
  };
  await advance({});
  const commands = { target, env: context.env, folder: site.folder };
  if (!progress.prepared) await runCommands({ ...commands, which: 'before' }, work.signal);
  await advance({ prepared: true });
  work.signal.throwIfAborted();
  await site.files.writePins(pins);
  const up = upOf(context, target, site, project.name, { services: plan.services, pinned: Object.keys(pins).length > 0 });
  const isUp = progress.up && services.every((service) => isDeployed(service, image));
  if (!isUp) await bringUpOrRollBack(context, target, { up, site, ran, services });
  await advance({ up: true });
  await waitForServices(up, work.signal);
  await runCommands({ ...commands, which: 'after' }, work.signal);
  const now = await findServices(docker, project.name, plan.services);
  await keepCurrent(context, target, site, withImages(project.definition, pins), now);
  await site.files.writeProgress(undefined);
  const along = others === undefined ? '' : `; came along: ${toldChanges(others)}`;
  return { kind: 'deployed', changed: true, running: runningImages(now, image), text: `${recreated(now)}${along}` };
}

/** How far an earlier, interrupted attempt of the same deploy got. */
async function progressOf(context: ComposeContext, target: ComposeTarget): Promise<DeployProgress | undefined> {
  const before = await filesOf(context, target).readProgress();
  return before?.rollout === target.rollout && before.digest === target.image.digest ? before : undefined;
}

/** Then neither checkout nor registry are needed. */
function runsAlready({ services }: CurrentState, image: ComposeTarget['image']): boolean {
  return services.every((service) => isDeployed(service, image));
}

/**
 * Stores the definition of what runs before anything is touched. After an interrupted attempt it is stored already, and not stored again:
 * what runs by then may be the new version.
 */
async function keepBefore(
  context: ComposeContext,
  target: ComposeTarget,
  current: CurrentState | undefined,
  progress: DeployProgress | undefined,
): Promise<StoredDefinition | undefined> {
  const files = filesOf(context, target);
  if (progress !== undefined) return await files.readBefore(target.image.digest);
  const ran = current && (await definitionOfRunning(context, target, current));
  if (ran !== undefined) await files.writeBefore(target.image.digest, ran);
  return ran;
}

interface UpdatedSite {
  readonly site: DeploySite;
  readonly project: RenderedProject;
  readonly others?: OtherChanges | undefined;
}

/** Fast-forwards the checkout, reads it with Compose, and compares it with what ran. */
async function update(
  context: ComposeContext,
  target: ComposeTarget,
  signal: AbortSignal,
  ran?: StoredDefinition,
): Promise<UpdatedSite> {
  const { change } = target.stage;
  const { directory, services } = target.deploy;
  const read = async (history?: CommitHistory): Promise<UpdatedSite> => {
    const site = requireSite(await findSite(context, target), target);
    const project = await readProject(site.compose, site.location, services);
    const others = await othersFor(site.files, ran, { project, ...(history && { history }) });
    return { site, project, others };
  };
  if (change === undefined) return await read();
  return await withCheckoutUpdate(context.run, context.locks, directory, change, signal, async (ahead) => {
    await fastForward(ahead);
    return await read(historyOf(ahead));
  });
}

/** Undefined if nothing ran, or nothing else changes. */
async function othersFor(
  files: StageFiles,
  ran: StoredDefinition | undefined,
  next: NextDefinition,
): Promise<OtherChanges | undefined> {
  return ran === undefined ? undefined : await othersOf(files, ran, next);
}

/** The override goes once the files say the same. After a rollback that comes with the checkout, which is brought forward for it. */
async function settle(context: ComposeContext, target: ComposeTarget): Promise<void> {
  const pins = await filesOf(context, target).readPins();
  if (pins === undefined || target.stage.change === undefined) return;
  try {
    const { site, project } = await update(context, target, new AbortController().signal);
    if (agrees(project, pins)) await site.files.writePins({});
  } catch (error) {
    // Nothing depends on it: the next deploy tries again, and says what a person has to do.
    if (!isRefusal(error) && !(error instanceof RateLimit)) throw error;
  }
}

async function explained<Result>(act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw explainUnreachable(error);
  }
}
