import { proxyActivities, sleep } from '@temporalio/workflow';
import type { FoundBuilds } from '../contracts/activities/builds.ts';
import type { Activities } from '../contracts/activities/index.ts';
import type { BuildSearch } from '../contracts/messages.ts';
import { heartbeatTimeout } from '../contracts/timing.ts';
import { rateLimitMs } from '../domain/rate-limit.ts';

const { startBuilds } = proxyActivities<Pick<Activities, 'startBuilds'>>({
  startToCloseTimeout: '20m',
  heartbeatTimeout,
  retry: { initialInterval: '1s', maximumInterval: '1m' },
});

/** Finds what of a commit is to be built, and starts it. A push was acknowledged on the strength of this workflow, so it gives up only on a "no". */
export async function searchBuilds(search: BuildSearch): Promise<FoundBuilds> {
  for (;;) {
    const found = await startBuilds(search);
    if (found.kind === 'found') return found;
    await sleep(rateLimitMs(found, Date.now()));
  }
}
