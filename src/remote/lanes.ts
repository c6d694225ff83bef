import * as answers from '../api/operators/v1/answers.ts';
import type { GlobalHoldState, PromotionAnswer, RollbackAnswer } from '../contracts/messages.ts';
import type { LaneState } from '../domain/lane/state.ts';
import type { Attribution } from '../domain/person.ts';
import type { Operations } from '../operations/index.ts';
import type { AskApi } from './ask.ts';

/** What a service runs, and keeping it so: by the routes of the API that are about services. */
export function laneOperations(ask: AskApi): Pick<Operations, 'showLane' | 'commandLane'> {
  return {
    async showLane(service) {
      const { lane, globalHold: hold } = await ask<{ readonly lane: LaneState; readonly globalHold?: Attribution }>({
        ...{ path: `/services/${encodeURIComponent(service)}`, answer: answers.laneAnswer },
      });
      const globalHold: GlobalHoldState = hold === undefined ? {} : { hold };
      return { lane, globalHold };
    },
    async commandLane(input) {
      const { service, ...body } = input;
      const path = `/services/${encodeURIComponent(service)}/commands`;
      const { lane, digest, overview: _, ...begun } = await ask<LaneCommandAnswer>({ path, body, answer: answers.commanded });
      const command = digest !== undefined && 'digest' in input ? { ...input, digest } : input;
      return { command, answer: lane ?? begun };
    },
  };
}

/** With a lane where nothing has to be waited for, else with the workflow that does it. */
interface LaneCommandAnswer extends RollbackAnswer, Pick<PromotionAnswer, 'at'> {
  readonly lane?: LaneState;
  readonly digest?: string;
  readonly overview?: unknown;
}
