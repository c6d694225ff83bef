import { CancelledFailure, Context } from '@temporalio/activity';
import type Docker from 'dockerode';
import { smokeTest } from '../checks/smoke/smoke-test.ts';
import type { SmokeActivities, SmokeInput } from '../contracts/activities/checks.ts';
import { withCleanUp } from '../platform/docker/clean-up.ts';
import type { Credentials } from '../platform/docker/images.ts';
import { sharedImages } from '../platform/docker/images.ts';
import type { HostReach } from '../platform/docker/reach.ts';
import { answering } from './boundary.ts';
import { currentRun } from './current-run.ts';

export interface SmokeDependencies {
  readonly docker: Docker;
  /** Turns a secret reference into its secret; plain text stays what it is. */
  readonly secrets: (value: string) => string;
  /** Labels what this worker makes. */
  readonly workerId: string;
  /** Names this Landfall where several share one Docker daemon, and stays the same when it is started again: see createSweep. */
  readonly installation?: string;
  /** By which this installation knows what it made in Docker: see ownershipKey. */
  readonly ownershipKey: string;
  /** What `smoke.envFile` is relative to: the folder of the configuration file. */
  readonly baseDir: string;
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  readonly hostReach: HostReach;
  /** The container that this worker runs in: needed where `hostReach` is `network`. See workerReach. */
  readonly ownContainer?: string;
  readonly now?: () => Date;
}

/** @throws Error where `hostReach` is `network` and there is no `ownContainer` */
export function createSmoke(dependencies: SmokeDependencies): SmokeActivities {
  if (dependencies.hostReach === 'network' && dependencies.ownContainer === undefined) {
    throw new Error("a worker that reaches containers by network has to know its own container's id: see workerReach");
  }
  const images = sharedImages(dependencies.docker);
  const now = dependencies.now ?? (() => new Date());
  return {
    smoke: answering(async (input: SmokeInput) => {
      const context = Context.current();
      return cancellable(context.cancellationSignal, () =>
        withCleanUp(
          (what, error) => context.log.warn(`could not ${what} after a smoke test; the sweep removes it`, { error }),
          (later) =>
            smokeTest({
              ...dependencies,
              ...input,
              images,
              now,
              later,
              run: currentRun(context),
              signal: context.cancellationSignal,
            }),
        ),
      );
    }),
  };
}

/** Ends as cancelled, whatever the cancellation broke. The boundary tells Temporal all the while that we live. */
async function cancellable<Result>(signal: AbortSignal, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (signal.aborted) throw new CancelledFailure('the smoke test was cancelled', [], asError(error));
    throw error;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
