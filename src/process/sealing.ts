import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import type { ActivityInterceptorsFactory, WorkerOptions } from '@temporalio/worker';
import { createSealCodec, type Sealing } from '../contracts/seal.ts';
import { isUnsealed, openArguments, type SealCheck, sealedFor } from '../contracts/sealed.ts';
import { madeOnce } from '../platform/files/made-once.ts';
import { databaseFile } from '../platform/temporal/version.ts';
import { keyFile, keyFileText, readKeyFile } from '../settings/seal-key.ts';

/**
 * Of the embedded server: a key that is made at the first start, beside the database. Where there is a database already, it is of a Landfall
 * that sealed nothing, and what is in it is believed.
 * @throws Refusal `SecretMissing` where the file has no key
 */
export async function keyOf(folder: string): Promise<Sealing> {
  const path = join(folder, keyFile);
  const since = existsSync(join(folder, databaseFile)) ? new Date() : undefined;
  return readKeyFile(await madeOnce(path, () => keyFileText(randomBytes(32).toString('hex'), since)), path);
}

/** How a worker is to be made: workflows ask for seals themselves, see src/workflows/sealed.ts. @param interceptors see opened input */
export function sealedWorker(namespace: string, sealing: Sealing, interceptors: readonly ActivityInterceptorsFactory[] = []) {
  return {
    dataConverter: { payloadCodecs: [createSealCodec(namespace, sealing, 'worker')] },
    interceptors: { activity: [refuseUnsealed, ...interceptors] },
  } satisfies Partial<WorkerOptions>;
}

/**
 * An activity is done only for a workflow of Landfall's: the very one that was sealed, for this queue and this run. Its answer, and its "no",
 * are sealed for that activity as well.
 */
export const refuseUnsealed: ActivityInterceptorsFactory = ({ info }) => ({
  inbound: {
    async execute(input, next) {
      const { activityType, taskQueue, scheduledTimestampMs, workflowExecution, heartbeatDetails } = info;
      const opened = openArguments(input.args, `activity ${activityType} on ${taskQueue}`, scheduledTimestampMs);
      const check = inItsRun(opened, workflowExecution?.runId);
      if ('refused' in check) throw notSealed(`what ${activityType} is asked for`, check);
      if (isUnsealed(heartbeatDetails)) {
        const { unsealed: refused, otherKey = false } = heartbeatDetails.landfall;
        throw notSealed(`how far an earlier attempt of ${activityType} was`, { refused, otherKey });
      }
      const chain = check.terms?.chain;
      const terms = (what: string) => ({ for: what, ...(chain !== undefined && { chain }) });
      try {
        return sealedFor(terms(`answer ${activityType}`), await next({ ...input, args: [check.value] }));
      } catch (error) {
        if (!(error instanceof ApplicationFailure) || !error.nonRetryable) throw error;
        const seal = sealedFor(terms(`failure ${activityType} ${error.type}`), undefined);
        throw ApplicationFailure.fromError(error, { details: [...(error.details ?? []), seal] });
      }
    },
  },
});

/** What was asked before Landfall sealed anything has no terms. */
function inItsRun(check: SealCheck, runId: string | undefined): SealCheck {
  if ('refused' in check || check.terms === undefined) return check;
  if (runId !== undefined && check.terms.run === runId) return check;
  return { refused: 'it was sealed for another run' };
}

/** Of another key: it is tried again, until every process has the same one. */
function notSealed(what: string, { refused, otherKey }: Extract<SealCheck, { readonly refused: string }>): ApplicationFailure {
  const message = `${what} is not sealed with Landfall's key: ${refused}`;
  return ApplicationFailure.create({ type: 'NotSealed', message, nonRetryable: otherKey !== true });
}
