import { proxyActivities, setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../contracts/activities/index.ts';
import { heartbeatTimeout } from '../contracts/timing.ts';
import { memoryOf, type SearchMemory, type SearchStart } from '../domain/search.ts';
import { failureOf } from './rollout/steps/take-step.ts';

const { searchRegistry } = proxyActivities<Pick<Activities, 'searchRegistry'>>({
  startToCloseTimeout: '10m',
  heartbeatTimeout,
  // What fails as a whole is Temporal itself, or the worker. The next search has the same memory, so nothing is lost by giving up.
  retry: { initialInterval: '1s', maximumInterval: '1m', maximumAttempts: 10 },
  summary: 'were images pushed that no webhook reported?',
});

/** A registry that asks to be left alone so often within one interval is left alone until the next. */
const mostRounds = 5;

/** Searches a registry for pushes that no webhook reported. What one run of its schedule returns, the next one is given. */
export async function search({ registry, everyMs }: SearchStart): Promise<SearchMemory> {
  const endMs = workflowInfo().startTime.getTime() + everyMs;
  let memory = memoryOf(workflowInfo().lastResult);
  for (let round = 0; round < mostRounds; round += 1) {
    const { limitedUntil = '', ...known } = memory;
    const limitMs = Date.parse(limitedUntil) || 0;
    // A limit beyond this run is the next one's to obey, and until then nothing is asked.
    if (limitMs >= endMs) break;
    if (limitMs > Date.now()) await sleep(limitMs - Date.now());
    memory = await searchOnce(registry, known);
    if (memory.limitedUntil === undefined) break;
  }
  return memory;
}

/** Where it cannot be done, what was known stays known. */
async function searchOnce(registry: string, known: SearchMemory): Promise<SearchMemory> {
  try {
    const outcome = await searchRegistry({ registry, known });
    if ('until' in outcome) return { ...known, limitedUntil: outcome.until };
    const { found, failed, memory } = outcome;
    setCurrentDetails([...found.map((image) => `- found \`${image}\``), ...failed.map((why) => `- ${why}`)].join('\n'));
    return memory;
  } catch (error) {
    setCurrentDetails(`not searched: ${failureOf(error).message}`);
    return known;
  }
}
