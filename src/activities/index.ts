import type { Activities } from '../contracts/activities/index.ts';
import { createChecks } from './check.ts';
import { createDecisions } from './decisions.ts';
import type { Dependencies } from './dependencies.ts';
import { createDeploy } from './deploy.ts';
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
import { createWatch } from './watch.ts';

export function createActivities(dependencies: Dependencies): Activities {
  const deploys = createDeploy(dependencies);
  const watches = createWatch(dependencies);
  return {
    ...createVerify(dependencies),
    ...createChecks(dependencies),
    ...createDispatch(dependencies),
    ...createPropose(dependencies),
    ...createResolve(dependencies),
    ...createLaneCalls(dependencies),
    ...createFollowUps(dependencies),
    ...createMerge(dependencies),
    ...deploys,
    async watchStage(input) {
      const outcome = await watches.watchStage(input);
      // On the same host and right away: a step of its own would add as many events to the history as a deploy.
      if (input.discardsPrevious && outcome.kind === 'watched') await deploys.discardPrevious(input);
      return outcome;
    },
    ...createNotify(dependencies),
    ...createDecisions(dependencies),
    ...createRedeliver(dependencies),
    ...createSearch(dependencies),
  };
}
