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
import type { Activities } from '../contracts/activities/index.ts';
import { type LookUp, lookUpSignal } from '../contracts/messages.ts';
import { rolloutId } from '../contracts/start-options.ts';
import { heartbeatTimeout } from '../contracts/timing.ts';
import { finalFailureTypes } from '../domain/failures.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';

const { lookUpTags, startRollouts } = proxyActivities<Pick<Activities, 'lookUpTags' | 'startRollouts'>>({
  startToCloseTimeout: '5m',
  heartbeatTimeout,
  retry: { initialInterval: '1s', maximumInterval: '1m' },
});

/** After a "no" of the registry (credentials, say) it is asked again this often, and at once when another push comes. */
const refusedPauseMs = 5 * 60_000;
const longestPauseMs = 60 * 60_000;
/** Between two answers of a registry that contradicts itself, so that nothing spins. */
const contradictedPause = '30s';

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
    const pauseMs = await startWhatIsFound(lookUp, started);
    if (pauseMs === 0) continue;
    asked.push(lookUp);
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof resolve>(asked);
    const known = asked.length;
    await condition(() => asked.length > known, pauseMs);
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

/** After how long it has to be tried again, in milliseconds; 0: it is done. */
async function startWhatIsFound(lookUp: LookUp, started: Set<string>): Promise<number> {
  const { plan, push } = lookUp;
  try {
    const found = await lookUpTags(lookUp);
    if (found.kind === 'rate-limited') return Math.min(longestPauseMs, Math.max(1_000, Date.parse(found.until) - Date.now()));
    if (contradicts(lookUp, found.images)) await sleep(contradictedPause);
    for (const rollout of await startRollouts({ lookUp, images: found.images })) started.add(rollout);
    return 0;
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    const failure = error.cause instanceof ApplicationFailure ? error.cause : undefined;
    setCurrentDetails(`${plan.repository}:${push.tag}: ${failure?.message ?? error.message}`);
    return (finalFailureTypes as readonly string[]).includes(failure?.type ?? '') ? 0 : refusedPauseMs;
  }
}

/** A rollout has just seen its tag point elsewhere, and now it points to that rollout's image: the registry answers one way and the other. */
function contradicts({ plan, after, moved }: LookUp, images: readonly ImageIdentity[]): boolean {
  return moved === true && images.some((image) => rolloutId(plan.service, image) === after?.rollout);
}
