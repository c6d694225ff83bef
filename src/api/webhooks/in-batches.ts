/** All of a batch are over before the next begins or an error is thrown, so nothing goes on behind an answer. */
export async function inBatches<Result>(tasks: readonly (() => Promise<Result>)[], size: number): Promise<Result[]> {
  const results: Result[] = [];
  for (let first = 0; first < tasks.length; first += size) {
    const settled = await Promise.allSettled(tasks.slice(first, first + size).map((task) => task()));
    for (const outcome of settled) {
      if (outcome.status === 'rejected') throw outcome.reason;
      results.push(outcome.value);
    }
  }
  return results;
}
