import { proxyActivities, setCurrentDetails, sleep } from '@temporalio/workflow';
import type { RedeliverActivities, RedeliverySummary } from '../contracts/activities/pushes.ts';
import { heartbeatTimeout } from '../contracts/timing.ts';
import type { RateLimited } from '../domain/outcomes.ts';
import { rateLimitMs } from '../domain/rate-limit.ts';

const { redeliverWebhooks } = proxyActivities<RedeliverActivities>({
  startToCloseTimeout: '10m',
  heartbeatTimeout,
  // The schedule asks again soon; what is worth another try is a worker that was killed.
  retry: { initialInterval: '1s', maximumAttempts: 3 },
  summary: 'failed deliveries of webhooks at GitHub',
});

/** One look for failed deliveries of webhooks. While it waits for a rate limit to end, its schedule starts no other one. */
export async function redeliver(): Promise<RedeliverySummary | RateLimited> {
  const outcome = await redeliverWebhooks({});
  if (outcome.kind === 'rate-limited') {
    setCurrentDetails(`GitHub asks us to wait until ${outcome.until}`);
    await sleep(rateLimitMs(outcome, Date.now()));
  }
  return outcome;
}
