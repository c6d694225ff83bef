import {
  ApplicationFailure,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import type { DispatchActivities } from '../contracts/activities/delivery.ts';
import type { PassThroughStart } from '../contracts/messages.ts';
import { searchAttributes } from '../contracts/start-options.ts';
import { heartbeatTimeout } from '../contracts/timing.ts';
import { eventsOf } from '../domain/dispatch-payload.ts';
import type { DispatchOutcome, RateLimited } from '../domain/outcomes.ts';
import { dispatchOfPush } from '../domain/plan.ts';
import type { End } from '../domain/rollout-state.ts';
import { type Failure, failureOf, unlimited } from './rollout/steps/take-step.ts';

/** Outages of GitHub last hours; an event of the day before is of no use to anybody. */
const longestMs = 24 * 60 * 60_000;

type Dispatched = Exclude<DispatchOutcome, RateLimited>;

/**
 * Passes one push on to GitHub, once for all of its tags (once per image, where it brought several), and does nothing else with it.
 * GitHub is tried for a day, and waited for when it asks for that. An image that cannot be passed on does not keep others back.
 * @returns what was sent
 * @throws ApplicationFailure of the type of GitHub's "no", or `NoCommit` where the payload needs a commit that the push does not name:
 *   the first of them
 */
export async function passThrough({ plan, pushes }: PassThroughStart): Promise<Dispatched[]> {
  const deadline = Date.now() + longestMs;
  const sent: Dispatched[] = [];
  const failures: Failure[] = [];
  for (const event of eventsOf(dispatchOfPush(plan)?.payload, pushes)) {
    try {
      sent.push(await unlimited(() => sender(deadline - Date.now()).passThrough({ plan, pushes: event })));
    } catch (error) {
      if (isCancellation(error)) settle('aborted');
      failures.push(failureOf(error));
    }
    const done = sent.map(({ event: name, repository }) => `sent ${name} to ${repository}`);
    setCurrentDetails([...done, ...failures.map(({ message }) => `not sent: ${message}`)].join('\n\n'));
  }
  const [failure] = failures;
  settle(failure === undefined ? 'delivered' : 'failed');
  if (failure === undefined) return sent;
  const { type, message, details } = failure;
  throw ApplicationFailure.nonRetryable(message, type, ...(details === undefined ? [] : [details]));
}

function sender(leftMs: number) {
  if (leftMs <= 0) {
    const found = 'expected GitHub to take the event within a day, found its rate limited for so long';
    throw ApplicationFailure.nonRetryable(found, 'RateLimited');
  }
  return proxyActivities<Pick<DispatchActivities, 'passThrough'>>({
    startToCloseTimeout: '2m',
    heartbeatTimeout,
    scheduleToCloseTimeout: leftMs,
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10m' },
  });
}

function settle(status: End): void {
  upsertSearchAttributes([
    { key: searchAttributes.status, value: status },
    { key: searchAttributes.changedAt, value: new Date() },
  ]);
}
