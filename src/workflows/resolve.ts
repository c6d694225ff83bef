import {
  ActivityFailure,
  ApplicationFailure,
  condition,
  continueAsNew,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { finalFailureTypes } from '../domain/failures.ts';
import { type LookUp, lookUpSignal } from './messages.ts';

const { lookUpTags, startRollouts } = proxyActivities<Pick<Activities, 'lookUpTags' | 'startRollouts'>>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '10s',
  retry: { initialInterval: '1s', maximumInterval: '1m' },
});

/** After a "no" of the registry (credentials, say) it is asked again this often, and at once when another push comes. */
const refusedPause = '5m';

/**
 * Looks up what a service's followed tags point to now, and starts the rollouts. A push without a digest was acknowledged on the
 * strength of this workflow, so it gives up only on tags that the registry does not have.
 * @returns the ids of the rollouts
 */
export async function resolve(asked: LookUp[] = []): Promise<string[]> {
  const started = new Set<string>();
  setHandler(lookUpSignal, (lookUp) => void asked.push(lookUp));
  await condition(() => asked.length > 0);
  for (let lookUp = takeNext(asked); lookUp !== undefined; lookUp = takeNext(asked)) {
    const again = await startWhatIsFound(lookUp, started);
    if (!again) continue;
    asked.push(lookUp);
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof resolve>(asked);
    const known = asked.length;
    await condition(() => asked.length > known, refusedPause);
  }
  return [...started];
}

/** The oldest question, and with it all that ask the same: one look answers them. The newest of them brings the plan. */
function takeNext(asked: LookUp[]): LookUp | undefined {
  const first = asked.shift();
  if (first === undefined) return undefined;
  const alike = asked.filter((other) => keyOf(other) === keyOf(first));
  for (const other of alike) asked.splice(asked.indexOf(other), 1);
  return alike.at(-1) ?? first;
}

/** An exact policy looks at all of its tags anyway, so that which of them was pushed makes no difference. */
function keyOf({ plan, push, asked = false }: LookUp): string {
  return asked || plan.tags.kind !== 'exact' ? `${asked}:${push.tag}` : '';
}

/** Whether it has to be tried again. */
async function startWhatIsFound(lookUp: LookUp, started: Set<string>): Promise<boolean> {
  const { plan, push } = lookUp;
  try {
    const found = await lookUpTags(lookUp);
    if (found.kind === 'rate-limited') {
      await sleep(Math.max(1_000, Date.parse(found.until) - Date.now()));
      return await startWhatIsFound(lookUp, started);
    }
    for (const rollout of await startRollouts({ lookUp, images: found.images })) started.add(rollout);
    return false;
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    const failure = error.cause instanceof ApplicationFailure ? error.cause : undefined;
    setCurrentDetails(`${plan.repository}:${push.tag}: ${failure?.message ?? error.message}`);
    return !(finalFailureTypes as readonly string[]).includes(failure?.type ?? '');
  }
}
