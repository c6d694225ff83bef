import { formatReference } from '../../domain/image-reference.ts';
import { type BodyLimits, readBody } from '../../http/body.ts';
import type { Log } from '../../http/errors.ts';
import { parseJson } from '../../http/json.ts';
import { requireMediaType } from '../../http/media-type.ts';
import { Problem } from '../../http/problem.ts';
import type { ForgeProgress, ParsedRequest, Receiver, RequestHead, Verdict } from '../../sources/kit/receiver.ts';
import type { AcceptedPushes, AcceptPushes } from './accept-pushes.ts';
import type { ForwardProgress } from './forward-progress.ts';
import type { RequestContext } from './request-state.ts';
import type { Senders } from './senders.ts';
import { thinRefusals } from './thin-refusals.ts';

export interface ReceiveDependencies {
  readonly acceptPushes: AcceptPushes;
  readonly forwardProgress: ForwardProgress;
  readonly senders: Senders;
  readonly log: Log;
  readonly now: () => Date;
  readonly bodyLimits: BodyLimits;
}

/** @param pathSecret what follows the receiver's path, where it takes that */
export type AnswerRequest = (context: RequestContext, pathSecret?: string) => Promise<void>;

/** The way of one request: what its headers rule out, its bytes, whether they are authentic, what they say, and what comes of that. */
export function receive(receiver: Receiver, dependencies: ReceiveDependencies): AnswerRequest {
  const answered = createReceive(receiver, dependencies);
  const { statuses = {} } = receiver;
  return async (context, pathSecret) => {
    try {
      await answered(context, pathSecret);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      throw error.withStatus(statuses[error.outcome]);
    }
    if (context.state.outcome === 'ignored' && statuses.ignored !== undefined) {
      // Whoever is told that it is accepted is told what came of it as well.
      context.body = { rollouts: [], resolving: [], ignored: context.state.ignored };
      context.status = statuses.ignored;
    }
  };
}

function createReceive(receiver: Receiver, dependencies: ReceiveDependencies): AnswerRequest {
  const { now, bodyLimits, forwardProgress, acceptPushes, senders, log } = dependencies;
  const logRefusal = thinRefusals(log, receiver);
  const refusal = unauthenticated(receiver);
  return async (context, pathSecret) => {
    requireMediaType(context.req.headers, receiver);
    const head = headOf(context, pathSecret, senders);
    const { raw, verdict } = await authenticate(receiver, head, () => readBody(context.req, context.res, bodyLimits));
    if (!verdict.authentic) {
      context.state.reason = verdict.reason;
      logRefusal(verdict.reason, head.address);
      throw refusal;
    }
    const { headers, query } = head;
    const { identity = {} } = verdict;
    const parsed = receiver.parse({ headers, query, identity, body: parseJson(raw), receivedAt: now().toISOString() });
    context.state.parsed = parsed;
    if (parsed.progress !== undefined) return await passOn(context, parsed.progress, forwardProgress);
    if (parsed.pushes.length === 0) return ignore(context, parsed.ignored ?? 'no image was pushed');
    await start(context, receiver, parsed, acceptPushes);
  };
}

/** What can be refused by its head alone is refused before its body is read. */
async function authenticate(
  { authentication }: Receiver,
  head: RequestHead,
  read: () => Promise<Buffer>,
): Promise<{ readonly raw: Buffer; readonly verdict: Verdict }> {
  const early = authentication.covers === 'head' ? await authentication.verify(head) : authentication.precheck(head);
  if (!early.authentic) return { raw: Buffer.alloc(0), verdict: early };
  const raw = await read();
  return { raw, verdict: authentication.covers === 'head' ? early : await authentication.verify(head, raw) };
}

function headOf({ req, querystring }: RequestContext, pathSecret: string | undefined, senders: Senders): RequestHead {
  const certificate = senders.certificateOf(req);
  return {
    headers: req.headers,
    ...(pathSecret !== undefined && { pathSecret }),
    query: new URLSearchParams(querystring),
    address: senders.addressOf(req),
    ...(certificate !== undefined && { certificate }),
  };
}

async function start(
  context: RequestContext,
  { namesOneOfSeveralTags }: Receiver,
  parsed: ParsedRequest,
  acceptPushes: AcceptPushes,
): Promise<void> {
  const accepted = await acceptPushes({ pushes: parsed.pushes, namesOneOfSeveralTags });
  if (accepted.rollouts.length + accepted.resolving.length + (accepted.forwarding ?? []).length === 0)
    return ignore(context, whyNothing(accepted, parsed));
  context.state.accepted = accepted;
  accept(context, accepted);
}

async function passOn(context: RequestContext, progress: ForgeProgress, forwardProgress: ForwardProgress): Promise<void> {
  const forwarded = await forwardProgress(progress);
  if ('ignored' in forwarded) return ignore(context, forwarded.ignored);
  context.state.nudged = forwarded.nudged;
  accept(context, { progress: forwarded.nudged.map(({ id }) => id) });
}

function accept(context: RequestContext, body: object): void {
  context.state.outcome = 'accepted';
  context.status = 202;
  context.body = body;
}

function whyNothing({ refused }: AcceptedPushes, { pushes }: ParsedRequest): string {
  if (refused !== undefined) {
    return `Temporal takes no workflow for ${listed(refused.map(({ image }) => image))}; the log of the server says why`;
  }
  return `no service follows ${listed(pushes.map(({ repository, tag }) => formatReference({ repository, ...(tag !== undefined && { tag }) })))}`;
}

function listed(images: readonly string[]): string {
  return [...new Set(images)].slice(0, 5).join(', ');
}

function ignore(context: RequestContext, reason: string): void {
  context.state.outcome = 'ignored';
  context.state.ignored = reason;
  context.status = 200;
  context.body = { ignored: reason };
}

function unauthenticated({ authenticationAdvice, challenge }: Receiver): Problem {
  return new Problem(401, 'unauthenticated', authenticationAdvice, { 'WWW-Authenticate': challenge });
}
