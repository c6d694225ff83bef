import type { BuildHostActivities } from '../contracts/activities/builds.ts';
import type { HostActivities } from '../contracts/activities/delivery.ts';
import type { Activities } from '../contracts/activities/index.ts';
import { createBuildActivities, createBuildHostActivities } from './builds.ts';
import { createChecks } from './check.ts';
import { createDecisions } from './decisions.ts';
import type { Dependencies } from './dependencies.ts';
import { createDeploy, type DeployDependencies } from './deploy.ts';
import { createDispatch } from './dispatch.ts';
import { createFollowUps } from './follow-up.ts';
import { createLaneCalls } from './lane.ts';
import { createMerge } from './merge.ts';
import { createNotify } from './notify.ts';
import { createPropose } from './propose.ts';
import { createRedeliver } from './redeliver.ts';
import { createResolve } from './resolve.ts';
import { createSearch } from './search/index.ts';
import { createVerify } from './verify.ts';
import { createWatch, type WatchDependencies } from './watch.ts';

export function createActivities(dependencies: Dependencies): Activities {
  return {
    ...createVerify(dependencies),
    ...createChecks(dependencies),
    ...createDispatch(dependencies),
    ...createPropose(dependencies),
    ...createResolve(dependencies),
    ...createLaneCalls(dependencies),
    ...createFollowUps(dependencies),
    ...createMerge(dependencies),
    ...createBuildActivities(dependencies),
    ...createHostActivities(dependencies),
    ...createNotify(dependencies),
    ...createDecisions(dependencies),
    ...createRedeliver(dependencies),
    ...createSearch(dependencies),
  };
}

export function createHostActivities(
  dependencies: DeployDependencies & WatchDependencies & Pick<Dependencies, 'builds' | 'checks'>,
): HostActivities & BuildHostActivities {
  const deploys = createDeploy(dependencies);
  const watches = createWatch(dependencies);
  return {
    ...deploys,
    ...createBuildHostActivities(dependencies),
    async watchStage(input) {
      const outcome = await watches.watchStage(input);
      // On the same host and right away: a step of its own would add as many events to the history as a deploy.
      if (input.discardsPrevious && outcome.kind === 'watched') await deploys.discardPrevious(input);
      return outcome;
    },
  };
}
