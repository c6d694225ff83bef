import type { RunningImage } from '../../domain/outcomes.ts';
import { withImages } from './definition.ts';
import { nameOfBefore } from './images.ts';
import { requireCompose } from './query.ts';
import { keepCurrent } from './running-definition.ts';
import { findServices } from './services.ts';
import { type ComposeContext, type ComposeTarget, directoryFolder, filesOf, upOf } from './site.ts';
import type { StoredDefinition } from './stage-files.ts';
import { bringUp, waitForServices } from './up.ts';

export interface DefinitionRollback {
  readonly kept: StoredDefinition;
  /** What these services ran before. */
  readonly before: readonly RunningImage[];
  /** Names of the services to recreate; the others run already what ran before. */
  readonly toDo: readonly string[];
  readonly signal: AbortSignal;
}

/** By service, how what ran before is named: see `nameOfBefore`. */
export async function pinsOf(
  context: ComposeContext,
  target: ComposeTarget,
  before: readonly RunningImage[],
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const pins: Record<string, string> = {};
  for (const each of before) pins[each.name] = await nameOfBefore(context, each, target.image, signal);
  return pins;
}

/** Recreates services as they ran: not only the image but the whole definition that their containers were made from. */
export async function rollBackDefinition(
  context: ComposeContext,
  target: ComposeTarget,
  { kept, before, toDo, signal }: DefinitionRollback,
): Promise<void> {
  const { directory } = target.deploy;
  const files = filesOf(context, target);
  const compose = await requireCompose(context.env);
  const whole: StoredDefinition = withImages(kept, await pinsOf(context, target, before, signal));
  const names = before.map(({ name }) => name);
  // Compose writes this path on the containers as their definition's, so the file stays. No container has it yet.
  await files.writeCurrent({ ...whole, 'x-landfall': { ...kept['x-landfall'], containers: {} } });
  const location = { directory, files: [files.current], project: kept.name, apart: true };
  const site = { compose, location, files, folder: directoryFolder(context, target) };
  const up = upOf(context, target, site, kept.name, { services: names, pinned: false });
  // The containers being replaced are unhealthy: do not wait for their graceful stop.
  if (toDo.length > 0) await bringUp({ ...up, services: toDo, stopWithin: 2 });
  await waitForServices(up, signal);
  const { commit, exact } = kept['x-landfall'];
  await keepCurrent(context, target, { files, compose }, whole, await findServices(context.docker, kept.name, names), {
    commit,
    exact,
  });
}
