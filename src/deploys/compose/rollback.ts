import { messageOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import { hostFailure } from '../kit/host-failure.ts';
import { refused } from '../kit/refusals.ts';
import type { ComposeContext, StoredDefinition } from './context.ts';
import { withImages } from './definition.ts';
import { awaitLeftBehind } from './detached-program.ts';
import { readDefinition, requireCompose, requireSite } from './project.ts';
import { hasRun, keepCurrent } from './running-definition.ts';
import { type DeployedService, findServices, nameOfBefore, recreated, runningImages, runsPreviousImage } from './services.ts';
import { bringUp, type ComposeUp, requireServices, waitForServices } from './up.ts';

/**
 * Brings the services back as they ran, whatever the files say by now. If nobody kept what they were made from (another host, an earlier
 * Landfall), only the image is put back into the files as they are, and that is said.
 */
export async function rollBack(context: ComposeContext, before: readonly RunningImage[], signal: AbortSignal): Promise<Deployed> {
  const { docker, files, target, programFolder } = context;
  await awaitLeftBehind(programFolder, signal);
  const meant = before.filter(({ name }) => target.deploy.services.includes(name));
  const names = meant.map(({ name }) => name);
  const found = await files.readBefore(target.image.digest);
  const kept = found !== undefined && meant.length > 0 && hasRun(found, meant) ? found : undefined;
  const up = await upOf(context, names, kept);
  const services = await findServices(docker, up.project, names);
  const isThere = (service: DeployedService) =>
    meant.some((each) => each.name === service.name && runsPreviousImage(service, each));
  const toDo = services.filter((service) => !isThere(service)).map(({ name }) => name);
  signal.throwIfAborted();
  await files.writeProgress(undefined);
  const pins = await pinsOf(context, meant, signal);
  await files.writePins(pins);
  // It was healthy before, time matters, and the watch that follows sees whether it is.
  const waits = target.stage.watch === undefined;
  await recreate(context, { kept, up, pins, toDo, waits }, signal);
  const now = await findServices(docker, up.project, names);
  const running = runningImages(now, target.image);
  if (toDo.length === 0) return { kind: 'deployed', changed: false, running, text: 'what ran before runs' };
  const text = recreated(now.filter(({ name }) => toDo.includes(name)));
  const note = noteOn(kept, target.deploy.directory);
  return { kind: 'deployed', changed: true, running, text, ...(note !== undefined && { note }) };
}

/** By service, how what ran before is named: see `nameOfBefore`. */
async function pinsOf(context: ComposeContext, before: readonly RunningImage[], signal: AbortSignal) {
  const pins: Record<string, string> = {};
  for (const each of before) pins[each.name] = await nameOfBefore(context, each, signal);
  return pins;
}

/** @param kept absent: from the files as they are */
async function upOf(context: ComposeContext, services: readonly string[], kept?: StoredDefinition): Promise<ComposeUp> {
  const { env, files, target } = context;
  if (kept === undefined) {
    const site = await requireSite(context);
    const { name: project } = await readDefinition(site, services);
    return { site, project, services, isPinned: services.length > 0 };
  }
  const { directory } = target.deploy;
  const site = { compose: await requireCompose(env), directory, files: [files.current], project: kept.name, apart: true };
  return { site, project: kept.name, services, isPinned: false };
}

interface ComposeRollback {
  readonly kept: StoredDefinition | undefined;
  readonly up: ComposeUp;
  /** What its services ran before. */
  readonly pins: Readonly<Record<string, string>>;
  /** Names of the services to recreate; the others run already what ran before. */
  readonly toDo: readonly string[];
  /** Until they are healthy, and not only until they run. */
  readonly waits: boolean;
}

/** Recreates services as they ran: where it was kept, not only the image but the whole definition that their containers were made from. */
async function recreate(
  context: ComposeContext,
  { kept, up, pins, toDo, waits }: ComposeRollback,
  signal: AbortSignal,
): Promise<void> {
  const whole = kept && withImages(kept, pins);
  // Compose writes this path on the containers as their definition's, so the file stays. No container has it yet.
  if (whole) await context.files.writeCurrent({ ...whole, 'x-landfall': { ...whole['x-landfall'], containers: {} } });
  // The containers being replaced are unhealthy: do not wait for their graceful stop.
  if (toDo.length > 0) await bringUp(context, { ...up, services: toDo, stopWithin: 1 });
  if (up.services.length > 0) await (waits ? waitForServices(context, up, signal) : requireServices(context, up));
  if (whole === undefined) return;
  const { commit, exact } = whole['x-landfall'];
  const services = await findServices(context.docker, up.project, up.services);
  await keepCurrent(context, up.site.compose, whole, services, { commit, exact });
}

function noteOn(kept: StoredDefinition | undefined, directory: string): string | undefined {
  const known = 'the settings that it ran with are not known on this host';
  if (kept === undefined)
    return `${known}, so only the image was put back, into the compose files as they are in ${directory} now`;
  if (kept['x-landfall'].exact) return undefined;
  return `${known}, so it was put back as the compose files in ${directory} had it before the deploy`;
}

/**
 * `docker compose up`, and a rollback if it failed because of the host: a taken port, a full disk, a missing network.
 * @param ran what ran, if that is known
 * @param services as they were just before
 * @throws Refusal `DeployRefused` if what ran before runs, or the host is to blame; `DeployFailed` if the image or its settings are
 */
export async function bringUpOrRollBack(
  context: ComposeContext,
  up: ComposeUp,
  ran: StoredDefinition | undefined,
  services: readonly DeployedService[],
): Promise<void> {
  try {
    await bringUp(context, up);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const now = await findServices(context.docker, up.project, up.services);
    const hasRunBefore = services.some(({ containers }) => containers.length > 0);
    if (hasRunBefore && now.every((service, index) => isUntouched(service, services[index]))) {
      throw refused(`${error.message}; nothing was changed: what ran before runs on`, error);
    }
    const trouble = hostFailure([error.message, ...now.flatMap(startErrors)].join('\n'));
    if (trouble === undefined) throw error;
    const blamed = `the host kept ${up.services.join(', ')} from starting, and not the image: ${trouble}`;
    if (!hasRunBefore) throw refused(`${blamed}; mend that, then retry`, error);
    const after = await rollBackAfterFailure(context, services, ran);
    await context.files.writeProgress(undefined);
    throw refused(`${blamed}; ${after}; mend that, then retry`, error);
  }
}

/** @returns what came of it, for people */
async function rollBackAfterFailure(context: ComposeContext, services: readonly DeployedService[], ran?: StoredDefinition) {
  if (ran === undefined) return 'what ran before is NOT back, because nobody knows its settings: the service may be down';
  try {
    const before = runningImages(services, context.target.image);
    const names = before.map(({ name }) => name);
    // Cannot be cancelled: nothing runs meanwhile.
    const { signal } = new AbortController();
    const up = await upOf(context, names, ran);
    const pins = await pinsOf(context, before, signal);
    await recreate(context, { kept: ran, up, pins, toDo: names, waits: true }, signal);
    return 'what ran before runs again';
  } catch (error) {
    return `what ran before could NOT be brought back, so the service may be down: ${messageOf(error)}`;
  }
}

function isUntouched({ containers }: DeployedService, before: DeployedService | undefined): boolean {
  const was = before?.containers ?? [];
  return (
    was.length === containers.length &&
    was.every(({ container: { Id, State } }) =>
      containers.some(({ container }) => container.Id === Id && container.State.Running === State.Running),
    )
  );
}

/** What Docker says of containers that it could not start. */
function startErrors({ containers }: DeployedService): string[] {
  return containers.flatMap(({ container: { State } }) => (State.Status === 'created' && State.Error ? [State.Error] : []));
}
