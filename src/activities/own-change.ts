import { Refusal } from '../domain/failures.ts';
import type { ImageIdentity, Proposal } from '../domain/outcomes.ts';
import type { ChangePlan } from '../domain/plan.ts';
import type { OwnChange } from '../forges/forge.ts';
import { editManifest, restoreManifest, sameBesidePlaces } from '../platform/manifest-editor/index.ts';

/** What Landfall may change on a base branch, computed from the file as it is there now. */

/** A proposal: the image is written where the change says. */
export function imageIn(change: ChangePlan, image: ImageIdentity): OwnChange {
  return ownChange(change, async (before, after) => (await editManifest(before, change, image)).text === after);
}

/** A proposal or rollback of any image: nothing but the values of the change differs. */
export function anyImageIn(change: ChangePlan, image: ImageIdentity): OwnChange {
  return ownChange(change, (before, after) => sameBesidePlaces(before, change, image, after));
}

/** A rollback: the values of the change are again what they were before the proposal. */
export function previousIn(change: ChangePlan, image: ImageIdentity, { before, after, written }: Proposal): OwnChange {
  return ownChange(change, async (text, wanted) => {
    if (before === undefined || after === undefined) return false;
    // Restoring with before and after swapped gives the file that the rollback must produce.
    const back = { before: after, after: before, ...(written && { written: { before: written.after, after: written.before } }) };
    const restored = await restoreManifest(text, change, image, back);
    return restored.kind === 'restored' && restored.text === wanted;
  });
}

function ownChange({ file }: ChangePlan, makes: (before: string, after: string) => Promise<boolean>): OwnChange {
  return {
    path: file,
    async makes(before, after) {
      try {
        return await makes(before, after);
      } catch (error) {
        // The file does not have the values of the change.
        if (error instanceof Refusal) return false;
        throw error;
      }
    },
  };
}
