import { join } from 'node:path';
import { z } from 'zod';
import { Refusal } from '../../domain/failures.ts';
import { readTextIfThere, writeDurably } from '../../platform/files/durable-file.ts';
import { safeName } from '../../platform/files/safe-name.ts';

export type TurnGuard = ReturnType<typeof createTurnGuard>;

const record = z.object({ turn: z.number().int() });

/**
 * Remembers the highest turn of each stage, so that a rollout that lost its turn long ago changes nothing any more.
 * @param folder one for each Temporal namespace: another one counts its turns anew, from one
 */
export function createTurnGuard(folder: string) {
  return {
    /**
     * Called with the stage's lock held, before anything is changed. The same turn may come again: tries of one step, and batches.
     * @throws Refusal `TurnPassed` if a higher turn was here already
     */
    async enter(service: string, stage: string, turn: number): Promise<void> {
      const path = join(folder, `${safeName(service, stage)}.json`);
      const seen = await seenTurn(path);
      if (seen !== undefined && turn < seen) {
        throw new Refusal(
          'TurnPassed',
          `expected turn ${seen} of ${service} in ${stage} or a later one, found turn ${turn}: a later change has begun here, and nothing ` +
            `was changed by this one. Where Temporal was set up anew and counts from one again, remove ${path}`,
        );
      }
      if (turn !== seen) await writeDurably(path, `${JSON.stringify({ turn })}\n`);
    },
  };
}

async function seenTurn(path: string): Promise<number | undefined> {
  const text = await readTextIfThere(path);
  try {
    return text === undefined ? undefined : record.parse(JSON.parse(text)).turn;
  } catch (cause) {
    const message = `expected {"turn": NUMBER} in ${path}, found something else: remove it if no other deploy is under way`;
    throw new Error(message, { cause });
  }
}
