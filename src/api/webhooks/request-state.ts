import type { ParameterizedContext } from 'koa';
import type { RequestOutcome } from '../../domain/audit.ts';
import type { ParsedRequest } from '../../sources/kit/receiver.ts';
import type { AcceptedPushes } from './accept-pushes.ts';
import type { Nudged } from './forward-progress.ts';

/** What the middlewares of one request learn and leave for the audit line. */
export interface RequestState {
  outcome?: RequestOutcome;
  /** Set once the request is authentic and understood: nothing that anybody else says is written down. */
  parsed?: ParsedRequest;
  accepted?: AcceptedPushes;
  /** The rollouts that were told to look again. */
  nudged?: readonly Nudged[];
  /** Why nothing was started. */
  ignored?: string;
  /** Why it was refused, in our own words. */
  reason?: string;
}

export type RequestContext = ParameterizedContext<RequestState>;
