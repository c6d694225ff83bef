import type { Middleware, ParameterizedContext } from 'koa';
import type { RequestOutcome } from '../../domain/audit.ts';
import { networkOfOneSender } from '../../http/networks.ts';
import type { ParsedRequest, Receiver } from '../../sources/kit/source.ts';
import type { AcceptedPushes } from './accept-pushes.ts';
import type { SignalledRollout } from './forward-progress.ts';
import type { Senders } from './senders.ts';

/** What the middlewares of one request learn, for those after them and for the audit log. */
export interface RequestState {
  /** Whose path it is; absent: nobody's. */
  receiver?: Receiver | undefined;
  /** The sender's, as far as proxies are trusted. */
  address: string;
  /** What of it the sender has for itself: limits are for that. */
  network: string;
  outcome?: RequestOutcome;
  /** Set once the request is authentic and understood: nothing that anybody else says is written down. */
  parsed?: ParsedRequest;
  /** Of an authentic request, for the log at level debug. */
  body?: Buffer;
  accepted?: AcceptedPushes;
  signalled?: readonly SignalledRollout[];
  /** Why nothing was started. */
  ignored?: string;
  /** Why it was refused, in our own words. */
  reason?: string;
}

export type RequestContext = ParameterizedContext<RequestState>;

/** To whom a request goes, and who sent it: asked once, at the beginning, as a broken connection may not know its other end any more. */
export function identify(receivers: readonly Receiver[], senders: Pick<Senders, 'addressOf'>): Middleware<RequestState> {
  const exact = new Map(receivers.map((receiver) => [receiver.path, receiver]));
  const withSecret = receivers.filter(({ secretInPath }) => secretInPath);
  return (context, next) => {
    const { path, req, state } = context;
    state.receiver = exact.get(path) ?? withSecret.find(({ path: own }) => path.startsWith(`${own}/`));
    state.address = senders.addressOf(req);
    state.network = networkOfOneSender(state.address);
    return next();
  };
}

/** A receiver's name, or `none` for a path that is nobody's. */
export function sourceOf({ receiver }: RequestState): string {
  return receiver?.source ?? 'none';
}
