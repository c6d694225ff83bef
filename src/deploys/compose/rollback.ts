import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import type { Work } from '../deploy.ts';
import { pinsOf, rollBackDefinition } from './definition-rollback.ts';
import { awaitLeftBehind } from './detached-program.ts';
import { readProject } from './project.ts';
import { hasRun } from './running-definition.ts';
import { type DeployedService, findServices, recreated, runningImages, runsPreviousImage } from './services.ts';
import { type ComposeContext, type ComposeTarget, directoryFolder, filesOf, findSite, requireSite, upOf } from './site.ts';
import type { StoredDefinition } from './stage-files.ts';
import { bringUp, waitForServices } from './up.ts';

/**
 * Brings the services back as they ran, whatever the files say by now. If nobody kept what they were made from (another host, an earlier
 * Landfall), only the image is put back into the files as they are, and that is said.
 */
export async function rollBack(
  context: ComposeContext,
  target: ComposeTarget,
  before: readonly RunningImage[],
  { signal }: Pick<Work, 'signal'>,
): Promise<Deployed> {
  await awaitLeftBehind(directoryFolder(context, target), signal);
  const meant = before.filter(({ name }) => target.deploy.services.includes(name));
  const files = filesOf(context, target);
  const found = await files.readBefore(target.image.digest);
  const kept = found !== undefined && meant.length > 0 && hasRun(found, meant) ? found : undefined;
  const project = kept?.name ?? (await projectNow(context, target, meant));
  const names = meant.map(({ name }) => name);
  const services = await findServices(context.docker, project, names);
  const isThere = (service: DeployedService) =>
    meant.some((each) => each.name === service.name && runsPreviousImage(service, each));
  const toDo = services.filter((service) => !isThere(service)).map(({ name }) => name);
  signal.throwIfAborted();
  await files.writeProgress(undefined);
  await files.writePins(await pinsOf(context, target, meant, signal));
  if (kept !== undefined) await rollBackDefinition(context, target, { kept, before: meant, toDo, signal });
  else await rollBackImages(context, target, names, toDo, signal);
  const now = await findServices(context.docker, project, names);
  const text = toDo.length > 0 ? recreated(now.filter(({ name }) => toDo.includes(name))) : 'what ran before runs';
  const note = toDo.length > 0 ? noteOn(kept, target) : undefined;
  return {
    kind: 'deployed',
    changed: toDo.length > 0,
    running: runningImages(now, target.image),
    text,
    ...(note !== undefined && { note }),
  };
}

async function projectNow(context: ComposeContext, target: ComposeTarget, meant: readonly RunningImage[]): Promise<string> {
  const { compose, location } = requireSite(await findSite(context, target), target);
  const names = meant.map(({ name }) => name);
  return (await readProject(compose, location, names)).name;
}

async function rollBackImages(
  context: ComposeContext,
  target: ComposeTarget,
  names: readonly string[],
  toDo: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const site = requireSite(await findSite(context, target), target);
  const { name } = await readProject(site.compose, site.location, names);
  const up = upOf(context, target, site, name, { services: names, pinned: names.length > 0 });
  // The containers being replaced are unhealthy: do not wait for their graceful stop.
  if (toDo.length > 0) await bringUp({ ...up, services: toDo, stopWithin: 2 });
  if (names.length > 0) await waitForServices(up, signal);
}

function noteOn(kept: StoredDefinition | undefined, { deploy: { directory } }: ComposeTarget): string | undefined {
  const known = 'the settings that it ran with are not known on this host';
  if (kept === undefined)
    return `${known}, so only the image was put back, into the compose files as they are in ${directory} now`;
  if (!kept['x-landfall'].exact)
    return `${known}, so it was put back as the compose files in ${directory} had it before the deploy`;
  return undefined;
}
