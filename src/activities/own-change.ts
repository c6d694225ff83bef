import { Refusal } from '../domain/failures.ts';
import type { ImageIdentity, Proposal } from '../domain/outcomes.ts';
import type { ChangePlan } from '../domain/plan.ts';
import type { OwnChange } from '../forges/forge.ts';
import { editManifest, restoreManifest, sameBesidePlaces } from '../platform/manifest-editor/index.ts';

/** What Landfall may bring to a base branch, computed anew from the file as it stands there. */

/** The image is written at the places of the change. */
export function imageIn(change: ChangePlan, image: ImageIdentity): OwnChange {
  return ownChange(change, async (before, after) => (await editManifest(before, change, image)).text === after);
}

/** Something else stands at the places of the change: a proposal or a rollback of Landfall's, of whichever image. */
export function anyImageIn(change: ChangePlan, image: ImageIdentity): OwnChange {
  return ownChange(change, (before, after) => sameBesidePlaces(before, change, image, after));
}

/** A rollback: at the places of the change stands again what its proposal says. */
export function previousIn(change: ChangePlan, image: ImageIdentity, { before, after, written }: Proposal): OwnChange {
  return ownChange(change, async (text, wanted) => {
    if (before === undefined || after === undefined) return false;
    // What puts it there is the way back from the rollback, backwards.
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
        // The places of the change are not there.
        if (error instanceof Refusal) return false;
        throw error;
      }
    },
  };
}
