import { allHandlersFinished, CancellationScope, condition, setHandler, upsertSearchAttributes } from '@temporalio/workflow';
import { type BuildStart, type BuildState, runStateQuery } from '../../contracts/messages.ts';
import { searchAttributes } from '../../contracts/start-options.ts';
import { latestThatStays, planPush } from '../../domain/build.ts';
import { isOneOf } from '../../domain/failures.ts';
import { noticeEvents } from '../../domain/plan.ts';
import type { RunEnd } from '../../domain/rollout-state.ts';
import type { Ending } from '../rollout/record.ts';
import { endingOf } from '../rollout/run.ts';
import { buildPlatforms } from './platforms.ts';
import { type BuildRun, openBuild } from './run.ts';
import { discard, exists, handOver, push, validate } from './steps.ts';

/**
 * What becomes of one commit of a build: read, looked for in the registry, built and checked for one platform after the other, pushed by its digest, and
 * only then called by its tag; the rollouts of whoever follows the tag begin with that digest. A step that fails for good waits for an operator.
 */
export async function build(start: BuildStart): Promise<BuildState> {
  const scope = new CancellationScope();
  const run = openBuild(start, () => scope.cancel());
  const { record, decisions } = run;
  setHandler(runStateQuery, () => stateOf(run));
  const found = await scope.run(() => story(run)).catch((error: unknown): Ending<RunEnd> => endingOf(error, decisions));
  await CancellationScope.nonCancellable(async () => {
    const { end, reason } = record.end(found);
    if (isOneOf(noticeEvents, end)) record.notify(end, reason === undefined ? {} : { reason });
    await discard(run);
    await record.flushNotices();
    await condition(allHandlersFinished);
  });
  return stateOf(run);
}

async function story(run: BuildRun): Promise<Ending<RunEnd>> {
  const { outputs, record, start } = run;
  const target = await validate(run);
  outputs.target = target;
  record.identify({ repository: target.image, tag: target.tag });
  upsertSearchAttributes([{ key: searchAttributes.image, value: `${target.image}:${target.tag}` }]);
  outputs.exists = await exists(run, target);
  const { builds, pushes, why } = planPush(outputs.exists, start.subject.options);
  if (!builds && !start.subject.options.movesLatest) return { end: 'unchanged', reason: why };
  const images = builds ? await buildPlatforms(run, target) : [];
  outputs.built = builds;
  if (builds && !pushes) return { end: 'built', reason: why };
  const { digest, tags, newerLatest } = await push(run, target, images);
  outputs.digest = digest;
  record.identify({ repository: target.image, tag: target.tag, digest });
  upsertSearchAttributes([{ key: searchAttributes.digest, value: digest }]);
  if (tags.length === 0) {
    outputs.exists = true;
    return { end: 'unchanged', reason: `somebody else pushed ${target.tag} meanwhile, and that was left as it is: ${digest}` };
  }
  outputs.pushed = true;
  outputs.tags = tags;
  if (!start.subject.options.pushOnly) outputs.rollouts = await handOver(run, target, { digest, tags });
  if (!builds)
    return { end: 'pushed', reason: `latest is moved to what the registry has: ${target.image}:${target.tag}@${digest}` };
  return { end: 'pushed', reason: `${target.image}:${target.tag}@${digest}${latestThatStays(newerLatest)}` };
}

function stateOf({ record, outputs }: BuildRun): BuildState {
  return { ...record.state, outputs: { ...outputs } };
}
