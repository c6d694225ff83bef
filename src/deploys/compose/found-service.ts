import { resolve } from 'node:path';
import { Refusal } from '../../domain/failures.ts';
import { composeServiceIn } from '../../domain/manifest-edit/index.ts';
import { filesOf } from '../../domain/plan.ts';
import { readTextIfThere } from '../../platform/files/durable-file.ts';
import type { Target } from '../deploy.ts';
import type { ComposeDeployPlan } from './context.ts';
import { composeFiles } from './files.ts';

/** The same with the service that the change finds by its image, where the files have none of the name that it expects. */
export async function withFoundService(target: Target<ComposeDeployPlan>): Promise<Target<ComposeDeployPlan>> {
  const { stage, deploy, image } = target;
  const changed = stage.change && filesOf(stage.change).find(({ target: { kind } }) => kind === 'compose');
  if (changed?.target.kind !== 'compose' || !changed.target.orByImage) return target;
  const [expected] = changed.target.services;
  const files = (await composeFiles(deploy.directory, deploy.files, changed.file)) ?? [];
  for (const file of files) {
    const text = await readTextIfThere(resolve(deploy.directory, file));
    const found = text === undefined ? undefined : ifClear(() => composeServiceIn(text, { ...changed, file }, image));
    if (found === undefined) continue;
    return { ...target, deploy: { ...deploy, services: deploy.services.map((name) => (name === expected ? found : name)) } };
  }
  return target;
}

/** What is wrong with the file, Compose says, or the change. */
function ifClear<Result>(find: () => Result): Result | undefined {
  try {
    return find();
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}
