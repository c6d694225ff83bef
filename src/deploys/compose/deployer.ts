import { RateLimit } from '../../domain/failures.ts';
import { toldChanges } from '../../domain/other-changes.ts';
import type { Deployed, OtherChanges, RunningImage } from '../../domain/outcomes.ts';
import type { ComposeDeployPlan } from '../../domain/plan.ts';
import { explainUnreachable } from '../../platform/docker/errors.ts';
import { requireScanned } from '../../platform/docker/scanned.ts';
import { createGitRunner } from '../../platform/git/command.ts';
import type { Deployer, Foreseeing, Work } from '../deployer.ts';
import { goForward, lookAhead } from './checkout.ts';
import { runCommands } from './commands.ts';
import { withImages } from './definition.ts';
import { keepImages, keepTag, pullImage } from './images.ts';
import { type History, historyOf, type Next, withNext } from './next.ts';
import { othersOf, requireAccepted } from './others.ts';
import { awaitLeftBehind } from './program.ts';
import { agrees, type Project, pinsFor, readProject } from './project.ts';
import { bringUpOrPutBack } from './put-back.ts';
import { definitionOfRunning, keepCurrent } from './ran.ts';
import { isRefusal } from './refusals.ts';
import { restore } from './restore.ts';
import { findServices, isDeployed, recreated, runningImages } from './services.ts';
import {
  type ComposeDeployerOptions,
  type ComposeTarget,
  type Deploying,
  directoryFolder,
  filesOf,
  findSite,
  lookAtPresent,
  type Present,
  requireSite,
  type Site,
  upOf,
} from './site.ts';
import type { Kept, Progress, StageFiles } from './stage-files.ts';
import { requireSurroundings } from './surroundings.ts';
import { waitForServices } from './up.ts';

export type { ComposeDeployerOptions } from './site.ts';

/**
 * `deploy: compose`: `docker compose up` of some services of a directory, with the checkout that the directory is in brought forward
 * first where the stage has a `change`. Whatever is there of other services, and of people, stays as it is.
 *
 * What the compose files do not pin by digest themselves, an override file pins, in the worker's data folder: always where there is no
 * `change` or only a tag is written, and after a rollback until the repository agrees. A person who runs `docker compose up` there by
 * hand does not have the override, and gets what the files say.
 *
 * The commands `before` and `after` belong to a deploy, not to going back: a rollback runs none. A command that was cut off with its
 * worker is run again.
 */
export function createComposeDeployer(options: ComposeDeployerOptions): Deployer<ComposeDeployPlan> {
  const run = createGitRunner(options.git ?? 'git', options.env);
  const deploying: Deploying = { ...options, run, now: options.now ?? (() => new Date()) };
  return {
    running: (target) => explained(() => running(deploying, target)),
    foresee: (target, work) => explained(() => foresee(deploying, target, work)),
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

/** Whatever can be refused is, before anything is merged; and what comes along besides the image is found. */
async function foresee(
  deploying: Deploying,
  target: ComposeTarget,
  { signal, accepted }: Foreseeing,
): Promise<OtherChanges | undefined> {
  const { docker, isOnHost = false } = deploying;
  const { services: names, directory } = target.deploy;
  const present = await lookAtPresent(deploying, target);
  return await withNext(deploying, target, signal, async (next) => {
    const { project } = next;
    pinsFor(target, project, directory);
    const services = present?.services ?? (await findServices(docker, project.name, names));
    await requireSurroundings({ docker, definition: project.definition, services, isOnHost });
    const ran = present && (await definitionOfRunning(deploying, target, present));
    const others = await othersFor(target, filesOf(deploying, target), ran, next);
    requireAccepted(target, others, accepted);
    return others;
  });
}

async function deploy(deploying: Deploying, target: ComposeTarget, work: Work): Promise<Deployed> {
  const { docker, isOnHost = false } = deploying;
  const { image, deploy: plan } = target;
  await awaitLeftBehind(directoryFolder(deploying, target), work.signal);
  const before = await progressOf(deploying, target);
  const present = await lookAtPresent(deploying, target);
  const found = before === undefined && present !== undefined && runsAlready(present, image);
  if (found)
    return { kind: 'deployed', changed: false, running: runningImages(present.services, image), text: 'it runs already' };
  const ran = await keepBefore(deploying, target, present, before);

  const { site, project, others } = await update(deploying, target, work.signal, ran);
  requireAccepted(target, others, work.accepted);
  const pins = pinsFor(target, project, plan.directory);
  const services = await findServices(docker, project.name, plan.services);
  if (before === undefined) await requireSurroundings({ docker, definition: project.definition, services, isOnHost });
  await pullImage(deploying, image, work.signal);
  await requireScanned(docker, target.plan, image);
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
  const up = upOf(deploying, target, site, project.name, { services: plan.services, pinned: Object.keys(pins).length > 0 });
  const isUp = progress.up && services.every((service) => isDeployed(service, image));
  if (!isUp) await bringUpOrPutBack(deploying, target, { up, site, ran, services });
  await advance({ up: true });
  await waitForServices(up, work.signal);
  await runCommands({ ...commands, which: 'after' }, work.signal);
  const now = await findServices(docker, project.name, plan.services);
  await keepCurrent(deploying, target, site, withImages(project.definition, pins), now);
  await site.files.writeProgress(undefined);
  const along = others === undefined ? '' : `; came along: ${toldChanges(others)}`;
  return { kind: 'deployed', changed: true, running: runningImages(now, image), text: `${recreated(now)}${along}` };
}

/** Where an earlier try of the same deploy was cut off. */
async function progressOf(deploying: Deploying, target: ComposeTarget): Promise<Progress | undefined> {
  const before = await filesOf(deploying, target).readProgress();
  return before?.rollout === target.rollout && before.digest === target.image.digest ? before : undefined;
}

/** Then neither checkout nor registry are asked. */
function runsAlready({ services }: Present, image: ComposeTarget['image']): boolean {
  return services.every((service) => isDeployed(service, image));
}

/**
 * What runs, kept before anything is touched: the files, the checkout, the containers. A try after one that was cut off finds it kept, and
 * keeps nothing anew: what runs by then may be the new one already.
 */
async function keepBefore(
  deploying: Deploying,
  target: ComposeTarget,
  present: Present | undefined,
  progress: Progress | undefined,
): Promise<Kept | undefined> {
  const files = filesOf(deploying, target);
  if (progress !== undefined) return await files.readBefore(target.image.digest);
  const ran = present && (await definitionOfRunning(deploying, target, present));
  if (ran !== undefined) await files.writeBefore(target.image.digest, ran);
  return ran;
}

interface Updated {
  readonly site: Site;
  readonly project: Project;
  readonly others?: OtherChanges | undefined;
}

/** The checkout brought forward, what Compose makes of it, and what of that is another than what ran. */
async function update(deploying: Deploying, target: ComposeTarget, signal: AbortSignal, ran?: Kept): Promise<Updated> {
  const { change } = target.stage;
  const { directory, services } = target.deploy;
  const read = async (history?: History): Promise<Updated> => {
    const site = requireSite(await findSite(deploying, target), target);
    const project = await readProject(site.compose, site.place, services);
    const others = await othersFor(target, site.files, ran, { project, ...(history && { history }) });
    return { site, project, others };
  };
  if (change === undefined) return await read();
  return await lookAhead(deploying.run, deploying.locks, directory, change, signal, async (ahead) => {
    await goForward(ahead);
    return await read(historyOf(ahead));
  });
}

/** Undefined where nobody wants to know, nothing ran, or nothing else changes. */
async function othersFor(
  { deploy }: ComposeTarget,
  files: StageFiles,
  ran: Kept | undefined,
  next: Next,
): Promise<OtherChanges | undefined> {
  return deploy.others === undefined || ran === undefined ? undefined : await othersOf(files, ran, next);
}

/** The override goes once the files say the same. After a rollback that comes with the checkout, which is brought forward for it. */
async function settle(deploying: Deploying, target: ComposeTarget): Promise<void> {
  const pins = await filesOf(deploying, target).readPins();
  if (pins === undefined || target.stage.change === undefined) return;
  try {
    const { site, project } = await update(deploying, target, new AbortController().signal);
    if (agrees(project, pins)) await site.files.writePins({});
  } catch (error) {
    // Nothing depends on it: the next deploy looks again, and says what a person has to do.
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
