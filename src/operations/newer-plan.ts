import type { Configuration } from '../config/configuration.ts';
import { plansFor } from '../config/plans.ts';
import { fingerprintOf } from '../domain/fingerprint.ts';
import type { RunState } from '../domain/rollout-state.ts';
import { InvalidConfiguration } from './errors.ts';

/**
 * Whether the configuration has another plan for the image of a rollout than the one that this began with. Of a file that is wrong, or of
 * a service that it does not have, nothing is known.
 * @param configuration reads it where it is needed
 */
export async function hasNewerPlan(
  configuration: () => Promise<Configuration>,
  { service, image, plan }: Pick<RunState, 'service' | 'image' | 'plan'>,
): Promise<boolean> {
  if (plan === undefined) return false;
  try {
    const now = plansFor(await configuration(), image.repository, image.tag).find((found) => found.service === service);
    return now !== undefined && fingerprintOf(now) !== plan;
  } catch (error) {
    if (error instanceof InvalidConfiguration) return false;
    throw error;
  }
}
