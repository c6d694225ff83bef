import type { ImageIdentity } from '../../domain/outcomes.ts';
import type { ChangePlan } from '../../domain/plan.ts';
import type { Forge } from '../../forges/forge.ts';
import { editManifest } from '../../platform/manifest-editor/index.ts';
import { baseOf, type CommittedFile } from '../change-branch.ts';

/** Whether the base branch of a change has the image already. Services of one deployment repository share the files read from it. */
export type BaseHolds = (change: ChangePlan, image: ImageIdentity) => Promise<boolean>;

/** For one search. @returns a function that throws where the forge cannot be asked, or the file has no place for the image */
export function createBaseHolds(forgeFor: (repository: string) => Forge): BaseHolds {
  const files = new Map<string, Promise<CommittedFile>>();
  return async (change, image) => {
    const key = JSON.stringify([change.repository, change.base, change.file]);
    // A forge that cannot be reached is asked once for each file.
    const file = files.get(key) ?? baseOf(forgeFor(change.repository), change);
    files.set(key, file);
    const { text } = await file;
    return (await editManifest(text, change, image)).text === text;
  };
}
