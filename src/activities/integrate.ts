import { CancelledFailure, Context } from '@temporalio/activity';
import type Docker from 'dockerode';
import { integrationCheck } from '../checks/integration/check.ts';
import type { IntegrateActivities, IntegrateInput } from '../contracts/activities/checks.ts';
import { withCleanUp } from '../platform/docker/clean-up.ts';
import { type Credentials, sharedImages } from '../platform/docker/images.ts';
import { answering } from './boundary.ts';
import { currentRun } from './current-run.ts';

export interface IntegrateDependencies {
  readonly docker: Docker;
  /** Turns a secret reference into its secret; plain text stays what it is. */
  readonly secrets: (value: string) => string;
  /** Labels what this worker makes. */
  readonly workerId: string;
  readonly installation?: string;
  /** By which this installation knows what it made in Docker: see ownershipKey. */
  readonly ownershipKey: string;
  /** What the compose file is relative to: the folder of the configuration file. */
  readonly baseDir: string;
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  /** Landfall's own environment, with the `DOCKER_HOST` that is configured: Compose gets what it needs of it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now?: () => Date;
}

export function createIntegrate(dependencies: IntegrateDependencies): IntegrateActivities {
  const images = sharedImages(dependencies.docker);
  const now = dependencies.now ?? (() => new Date());
  return {
    integrate: answering(async ({ plan, image }: IntegrateInput) => {
      const { integration } = plan;
      if (integration === undefined)
        throw new Error(`the plan of ${plan.service} has no integration check, so it should not be asked for`);
      const context = Context.current();
      const { cancellationSignal: signal, log } = context;
      const run = currentRun(context);
      try {
        return await withCleanUp(
          (what, error) => log.warn(`could not ${what} after an integration check; the sweep removes it`, { error }),
          (later) => integrationCheck({ ...dependencies, images, plan, integration, image, run, now, later, signal }),
        );
      } catch (error) {
        if (!signal.aborted) throw error;
        throw new CancelledFailure('the integration check was cancelled', [], error instanceof Error ? error : undefined);
      }
    }),
  };
}
