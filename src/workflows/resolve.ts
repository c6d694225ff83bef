import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
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
import { type ResolveRequest, resolveSignal } from '../contracts/messages.ts';
import { rolloutId } from '../contracts/start-options.ts';
import { heartbeatTimeout } from '../contracts/timing.ts';
import { finalFailureTypes, isOneOf } from '../domain/failures.ts';
import { rateLimitMs } from '../domain/rate-limit.ts';
import { recordTrigger } from './trigger.ts';

const { resolveTags, startRollouts } = proxyActivities<Pick<Activities, 'resolveTags' | 'startRollouts'>>({
  startToCloseTimeout: '5m',
  heartbeatTimeout,
  retry: { initialInterval: '1s', maximumInterval: '1m' },
});

/** After a "no" of the registry (credentials, say) it is asked again this often, and at once when another push comes. */
const refusedPauseMs = 5 * 60_000;
/** Between two answers of a registry that contradicts itself, so that nothing spins. */
const contradictedPause = '30s';

/**
 * Looks up what a service's followed tags point to now, and starts the rollouts. A push without a digest was acknowledged on the
 * strength of this workflow, so it gives up only on tags that the registry does not have.
 * @returns the ids of the rollouts
 */
export async function resolve(requests: ResolveRequest[] = []): Promise<string[]> {
  const started = new Set<string>();
  setHandler(resolveSignal, async (request) => {
    requests.push(request);
    const { manual, after, plan, push } = request;
    if (manual && after === undefined) await recordTrigger({ service: plan.service, push });
  });
  const isAsked = (): boolean => requests.length > 0;
  await condition(isAsked);
  for (;;) {
    const request = takeNext(requests);
    if (request === undefined) {
      if (allHandlersFinished()) return [...started];
      await condition(() => isAsked() || allHandlersFinished());
      continue;
    }
    const pauseMs = await startWhatIsFound(request, started);
    if (pauseMs === 0) continue;
    requests.push(request);
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof resolve>(requests);
    }
    const known = requests.length;
    await condition(() => requests.length > known, pauseMs);
  }
}

/** The oldest question, and with it all that ask the same: one look answers them. The newest of them brings the plan. */
function takeNext(requests: ResolveRequest[]): ResolveRequest | undefined {
  const first = requests.shift();
  if (first === undefined) return undefined;
  const alike = requests.filter((other) => keyOf(other) === keyOf(first));
  for (const other of alike) requests.splice(requests.indexOf(other), 1);
  return alike.at(-1) ?? first;
}

/** An exact policy looks at all of its tags anyway, so that which of them was pushed makes no difference. */
function keyOf({ plan, push, manual = false }: ResolveRequest): string {
  return manual || plan.tags.kind !== 'exact' ? `${manual}:${push.tag}` : '';
}

/** After how long it has to be tried again, in milliseconds; 0: it is done. */
async function startWhatIsFound(request: ResolveRequest, started: Set<string>): Promise<number> {
  const { plan, push } = request;
  try {
    const found = await resolveTags(request);
    if (found.kind === 'rate-limited') return rateLimitMs(found, Date.now());
    // A rollout has just seen its tag point elsewhere, and now it points to that rollout's image.
    const isBack = request.moved && found.images.some((image) => rolloutId(plan.service, image) === request.after?.rollout);
    if (isBack) await sleep(contradictedPause);
    for (const rollout of await startRollouts({ request, images: found.images })) started.add(rollout);
    return 0;
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    const failure = error.cause instanceof ApplicationFailure ? error.cause : undefined;
    setCurrentDetails(`${plan.repository}:${push.tag}: ${failure?.message ?? error.message}`);
    return isOneOf(finalFailureTypes, failure?.type ?? '') ? 0 : refusedPauseMs;
  }
}
