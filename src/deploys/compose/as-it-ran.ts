import type { RunningImage } from '../../domain/outcomes.ts';
import { requireCompose } from './command.ts';
import { withImages } from './definition.ts';
import { nameOfBefore } from './images.ts';
import { keepCurrent } from './ran.ts';
import { findServices } from './services.ts';
import { type ComposeTarget, type Deploying, directoryFolder, filesOf, upOf } from './site.ts';
import type { Kept } from './stage-files.ts';
import { bringUp, waitForServices } from './up.ts';

export interface Bringing {
  readonly kept: Kept;
  /** What ran of the services that are meant. */
  readonly before: readonly RunningImage[];
  /** Names of the services that are to be recreated; the others run already. */
  readonly toDo: readonly string[];
  readonly signal: AbortSignal;
}

/** By service, how what ran before is named: see `nameOfBefore`. */
export async function pinsOf(
  deploying: Deploying,
  target: ComposeTarget,
  before: readonly RunningImage[],
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const pins: Record<string, string> = {};
  for (const each of before) pins[each.name] = await nameOfBefore(deploying, each, target.image, signal);
  return pins;
}

/** Recreates services as they ran: not only with the image but with the whole definition that their containers were made from. */
export async function bringAsItRan(
  deploying: Deploying,
  target: ComposeTarget,
  { kept, before, toDo, signal }: Bringing,
): Promise<void> {
  const { directory } = target.deploy;
  const files = filesOf(deploying, target);
  const compose = await requireCompose(deploying.env);
  const whole: Kept = withImages(kept, await pinsOf(deploying, target, before, signal));
  const names = before.map(({ name }) => name);
  // Where Compose writes on the containers that their definition is, so it stays. It is no container's yet.
  await files.writeCurrent({ ...whole, 'x-landfall': { ...kept['x-landfall'], containers: {} } });
  const place = { directory, files: [files.current], project: kept.name, apart: true };
  const site = { compose, place, files, folder: directoryFolder(deploying, target) };
  const up = upOf(deploying, target, site, kept.name, { services: names, pinned: false });
  // Nobody is served by waiting for what is unhealthy.
  if (toDo.length > 0) await bringUp({ ...up, services: toDo, stopWithin: 2 });
  await waitForServices(up, signal);
  const { commit, exact } = kept['x-landfall'];
  await keepCurrent(deploying, target, { files, compose }, whole, await findServices(deploying.docker, kept.name, names), {
    commit,
    exact,
  });
}
