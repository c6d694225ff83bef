import { resolve } from 'node:path';
import { type Diagnosed, fine, warning } from '../../domain/diagnosis.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { formatReference } from '../../domain/image-reference.ts';
import { toldChanges } from '../../domain/other-changes.ts';
import type { Deployed, OtherChanges, RunningImage } from '../../domain/outcomes.ts';
import { requireScanned } from '../../platform/docker/scanned.ts';
import { createGitRunner } from '../../platform/git/command.ts';
import { childEnvironment } from '../../platform/processes/environment.ts';
import type { Deployer, Foreseeing, Target, Work } from '../deploy.ts';
import { explained, pullImage } from '../kit/docker.ts';
import { failed } from '../kit/refusals.ts';
import { fastForward, withCheckoutUpdate } from './checkout.ts';
import {
  type ComposeContext,
  type ComposeDeployerOptions,
  type ComposeDeployPlan,
  contextOf,
  type DeployProgress,
  type StoredDefinition,
} from './context.ts';
import { withImages } from './definition.ts';
import { awaitLeftBehind, runToEnd } from './detached-program.ts';
import { withFoundService } from './found-service.ts';
import { requireHost } from './host-requirements.ts';
import { withNext } from './next.ts';
import { othersOf, requireAccepted } from './other-changes.ts';
import {
  agrees,
  type CurrentState,
  findSite,
  inOneLine,
  pinsFor,
  readCurrentState,
  readDefinition,
  requireCompose,
  requireSite,
} from './project.ts';
import { bringUpOrRollBack, rollBack } from './rollback.ts';
import { definitionOfRunning, keepCurrent } from './running-definition.ts';
import { findServices, isDeployed, keepImages, recreated, runningImages } from './services.ts';
import { waitForServices } from './up.ts';

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
  const git = createGitRunner('git', options.env);
  const within = <Result>(target: Target<ComposeDeployPlan>, act: (context: ComposeContext) => Promise<Result>) =>
    explained(async () => await act(contextOf(options, git, await withFoundService(target))));
  return {
    lockOf: ({ directory }) => `compose ${resolve(directory)}`,
    running: (target) => within(target, running),
    foresee: (target, foreseeing) => within(target, (context) => foresee(context, foreseeing)),
    deploy: (target, work) => within(target, (context) => deploy(context, work)),
    restore: (target, before, { signal }) => within(target, (context) => rollBack(context, before, signal)),
    settle: (target) => within(target, settle),
    diagnose: (target, signal) => within(target, (context) => diagnose(context, signal)),
  };
}

/** Compose, the checkout with nothing of anybody else's in it, and the services in the files. */
async function diagnose(context: ComposeContext, signal: AbortSignal): Promise<Diagnosed> {
  const { env, target } = context;
  const { directory, services } = target.deploy;
  const { version } = await requireCompose(env);
  const commit = await withCheckoutUpdate(context, signal, async (update) => update?.target);
  // The files may come with the change.
  const site = target.stage.change === undefined ? await requireSite(context) : await findSite(context);
  const where = commit === undefined ? directory : `${directory}, a clean checkout (the base is ${commit.slice(0, 12)})`;
  if (site === undefined) return warning(`${where}, has no compose file yet: it has to come with the repository`);
  await readDefinition(site, services);
  return fine(`Docker Compose ${version}, ${services.join(', ')} in ${where}`);
}

async function running(context: ComposeContext): Promise<readonly RunningImage[]> {
  const { docker, target } = context;
  // The files may come with the change.
  const site = target.stage.change === undefined ? await requireSite(context) : await findSite(context);
  if (site === undefined) return [];
  const { name } = await readDefinition(site, []);
  return runningImages(await findServices(docker, name, target.deploy.services), target.image);
}

/** Refuses whatever it can before anything is merged, and finds what would change besides the image. */
async function foresee(context: ComposeContext, { signal, accepted }: Foreseeing): Promise<OtherChanges | undefined> {
  const { docker, target } = context;
  const current = await readCurrentState(context);
  return await withNext(context, signal, async (next, update) => {
    pinsFor(context, next);
    await requireHost(context, next, current?.services ?? (await findServices(docker, next.name, target.deploy.services)));
    const ran = current && (await definitionOfRunning(context, current));
    const others = await othersOf(context, ran, next, update);
    requireAccepted(context, others, accepted);
    return others;
  });
}

async function deploy(context: ComposeContext, work: Work): Promise<Deployed> {
  const { docker, files, programFolder, target } = context;
  const { image, deploy: plan } = target;
  const { signal } = work;
  await awaitLeftBehind(programFolder, signal);
  const found = await files.readProgress();
  /** How far an earlier, interrupted attempt of the same deploy got. */
  const before = found?.rollout === target.rollout && found.digest === image.digest ? found : undefined;
  const current = await readCurrentState(context);
  // Then neither checkout nor registry are needed.
  if (before === undefined && current?.services.every((service) => isDeployed(service, image)))
    return { kind: 'deployed', changed: false, running: runningImages(current.services, image), text: 'it runs already' };
  const ran = await keepBefore(context, current, before);

  const { site, definition, others } = await update(context, signal, ran);
  requireAccepted(context, others, work.accepted);
  const pins = pinsFor(context, definition);
  const services = await findServices(docker, definition.name, plan.services);
  if (before === undefined) await requireHost(context, definition, services);
  await pullImage(context, image, signal);
  await requireScanned(docker, target.plan, image);
  await keepImages(context, services);

  let progress: DeployProgress = before ?? { rollout: target.rollout, digest: image.digest, prepared: false, up: false };
  const advance = async (step: Partial<DeployProgress>) => {
    progress = { ...progress, ...step };
    await files.writeProgress(progress);
  };
  await advance({});
  if (!progress.prepared) await runCommands(context, 'before', signal);
  await advance({ prepared: true });
  signal.throwIfAborted();
  await files.writePins(pins);
  const up = { site, project: definition.name, services: plan.services, isPinned: Object.keys(pins).length > 0 };
  const isUp = progress.up && services.every((service) => isDeployed(service, image));
  if (!isUp) await bringUpOrRollBack(context, up, ran, services);
  await advance({ up: true });
  await waitForServices(context, up, signal);
  await runCommands(context, 'after', signal);
  const now = await findServices(docker, definition.name, plan.services);
  await keepCurrent(context, site.compose, withImages(definition, pins), now);
  await files.writeProgress(undefined);
  const along = others === undefined ? '' : `; came along: ${toldChanges(others)}`;
  return { kind: 'deployed', changed: true, running: runningImages(now, image), text: `${recreated(now)}${along}` };
}

/**
 * Stores the definition of what runs before anything is touched. After an interrupted attempt it is stored already, and not stored again:
 * what runs by then may be the new version.
 */
async function keepBefore(context: ComposeContext, current?: CurrentState, progress?: DeployProgress) {
  const { files, target } = context;
  if (progress !== undefined) return await files.readBefore(target.image.digest);
  const ran = current && (await definitionOfRunning(context, current));
  if (ran !== undefined) await files.writeBefore(target.image.digest, ran);
  return ran;
}

/** Fast-forwards the checkout, reads it with Compose, and compares it with what ran. */
async function update(context: ComposeContext, signal: AbortSignal, ran?: StoredDefinition) {
  return await withCheckoutUpdate(context, signal, async (ahead) => {
    if (ahead !== undefined) await fastForward(ahead);
    const site = await requireSite(context);
    const definition = await readDefinition(site, context.target.deploy.services);
    return { site, definition, others: await othersOf(context, ran, definition, ahead) };
  });
}

/**
 * Runs the commands of a stage one after the other, each to its end: a migration that is killed half-way does more harm than a late
 * cancellation. One that was cut off with its worker is run again, so commands have to bear that.
 * @throws Refusal `DeployFailed` for the first that does not exit 0
 */
async function runCommands({ env, programFolder, target }: ComposeContext, which: 'before' | 'after', signal: AbortSignal) {
  const { directory: cwd, timeoutMs, [which]: commands } = target.deploy;
  for (const command of commands) {
    signal.throwIfAborted();
    const own = { ...childEnvironment(env, ['DOCKER_*']), ...about(target) };
    const ended = await runToEnd(programFolder, { command, cwd, env: own, timeoutMs });
    const { exitCode, output } = ended;
    if (exitCode === 0 && !ended.isLate) continue;
    const asItEnded = exitCode === undefined ? `was ended by ${ended.signal}` : `ended with exit code ${exitCode}`;
    const how = ended.isLate ? `did not end within ${timeoutMs / 1000} s` : asItEnded;
    throw failed(`expected '${command.join(' ')}' ${which} the deploy to succeed, but it ${how}: ${inOneLine(output)}`, [
      { command, ...(exitCode !== undefined && { exitCode }), output },
    ]);
  }
}

function about({ plan, stage, image, rollout }: Target): Record<string, string> {
  const { repository, tag, digest } = image;
  return {
    LANDFALL_SERVICE: plan.service,
    LANDFALL_STAGE: stage.name,
    LANDFALL_IMAGE: formatReference({ repository, tag, digest }),
    LANDFALL_TAG: tag,
    LANDFALL_DIGEST: digest,
    LANDFALL_ROLLOUT: rollout,
  };
}

/** The override goes once the files say the same. After a rollback that comes with the checkout, which is brought forward for it. */
async function settle(context: ComposeContext): Promise<void> {
  const { files, target } = context;
  const pins = await files.readPins();
  if (pins === undefined || target.stage.change === undefined) return;
  try {
    const { definition } = await update(context, new AbortController().signal);
    if (agrees(definition, pins)) await files.writePins({});
  } catch (error) {
    // Nothing depends on it: the next deploy tries again, and says what a person has to do.
    if (!(error instanceof Refusal || error instanceof RateLimit)) throw error;
  }
}
