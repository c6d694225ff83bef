import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import type { Work } from '../deployer.ts';
import { bringAsItRan, pinsOf } from './as-it-ran.ts';
import { awaitLeftBehind } from './program.ts';
import { readProject } from './project.ts';
import { hasRun } from './ran.ts';
import { findServices, isBack, recreated, runningImages, type Service } from './services.ts';
import { type ComposeTarget, type Deploying, directoryFolder, filesOf, findSite, requireSite, upOf } from './site.ts';
import type { Kept } from './stage-files.ts';
import { bringUp, waitForServices } from './up.ts';

/**
 * Brings the services back as they ran, whatever the files say by now. Where nobody kept what they were made from (another host, an earlier
 * Landfall), only the image is put back into the files as they are, and that is said.
 */
export async function restore(
  deploying: Deploying,
  target: ComposeTarget,
  before: readonly RunningImage[],
  { signal }: Pick<Work, 'signal'>,
): Promise<Deployed> {
  await awaitLeftBehind(directoryFolder(deploying, target), signal);
  const meant = before.filter(({ name }) => target.deploy.services.includes(name));
  const files = filesOf(deploying, target);
  const found = await files.readBefore(target.image.digest);
  const kept = found !== undefined && meant.length > 0 && hasRun(found, meant) ? found : undefined;
  const project = kept?.name ?? (await projectNow(deploying, target, meant));
  const names = meant.map(({ name }) => name);
  const services = await findServices(deploying.docker, project, names);
  const isThere = (service: Service) => meant.some((each) => each.name === service.name && isBack(service, each));
  const toDo = services.filter((service) => !isThere(service)).map(({ name }) => name);
  signal.throwIfAborted();
  await files.writeProgress(undefined);
  await files.writePins(await pinsOf(deploying, target, meant, signal));
  if (kept !== undefined) await bringAsItRan(deploying, target, { kept, before: meant, toDo, signal });
  else await putImagesBack(deploying, target, names, toDo, signal);
  const now = await findServices(deploying.docker, project, names);
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

async function projectNow(deploying: Deploying, target: ComposeTarget, meant: readonly RunningImage[]): Promise<string> {
  const { compose, place } = requireSite(await findSite(deploying, target), target);
  const names = meant.map(({ name }) => name);
  return (await readProject(compose, place, names)).name;
}

async function putImagesBack(
  deploying: Deploying,
  target: ComposeTarget,
  names: readonly string[],
  toDo: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const site = requireSite(await findSite(deploying, target), target);
  const { name } = await readProject(site.compose, site.place, names);
  const up = upOf(deploying, target, site, name, { services: names, pinned: names.length > 0 });
  // Nobody is served by waiting for what is unhealthy.
  if (toDo.length > 0) await bringUp({ ...up, services: toDo, stopWithin: 2 });
  if (names.length > 0) await waitForServices(up, signal);
}

function noteOn(kept: Kept | undefined, { deploy: { directory } }: ComposeTarget): string | undefined {
  const known = 'the settings that it ran with are not known on this host';
  if (kept === undefined)
    return `${known}, so only the image was put back, into the compose files as they are in ${directory} now`;
  if (!kept['x-landfall'].exact)
    return `${known}, so it was put back as the compose files in ${directory} had it before the deploy`;
  return undefined;
}
