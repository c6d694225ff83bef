import { sleep } from '@temporalio/workflow';
import type { RateLimited } from '../domain/outcomes.ts';
import { isAnswer, rateLimitIn, rateLimitMs } from '../domain/rate-limit.ts';

/**
 * Asks until there is an answer, and waits as often as the other side asks for it.
 * @param waiting called before each wait
 */
export async function unlimited<Answer extends { readonly kind: string }>(
  ask: () => Promise<Answer>,
  waiting: (limit: RateLimited) => void = () => undefined,
): Promise<Exclude<Answer, RateLimited>> {
  for (;;) {
    const answer = await ask();
    if (isAnswer(answer)) return answer;
    const limit = rateLimitIn(answer);
    if (limit === undefined) continue;
    waiting(limit);
    await sleep(rateLimitMs(limit, Date.now()));
  }
}
