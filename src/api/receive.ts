import type { Middleware } from 'koa';
import { formatReference } from '../domain/image-reference.ts';
import type { AcceptedPushes, AcceptPushes } from './accept-pushes.ts';
import { type BodyLimits, readBody } from './body.ts';
import type { ForwardProgress } from './forward-progress.ts';
import { parseJson } from './json.ts';
import { requireMediaType } from './media-type.ts';
import { Problem } from './problem.ts';
import type { ForgeProgress, ParsedRequest, Receiver } from './receivers/receiver.ts';
import type { RequestContext, RequestState } from './request-state.ts';

export interface ReceiveDependencies {
  readonly acceptPushes: AcceptPushes;
  readonly forwardProgress: ForwardProgress;
  readonly now: () => Date;
  readonly bodyLimits: BodyLimits;
}

/** The way of one request: what its headers rule out, its bytes, whether they are authentic, what they say, and what comes of that. */
export function receive(receiver: Receiver, dependencies: ReceiveDependencies): Middleware<RequestState> {
  const { now, bodyLimits, forwardProgress, acceptPushes } = dependencies;
  return async (context) => {
    const { headers } = context.req;
    requireMediaType(headers, receiver);
    const raw = await readBody(context.req, context.res, bodyLimits);
    if (!receiver.authenticate(headers, raw)) throw unauthenticated(receiver);
    const parsed = receiver.parse({ headers, body: parseJson(raw), receivedAt: now().toISOString() });
    context.state.parsed = parsed;
    if (parsed.progress !== undefined) return await passOn(context, parsed.progress, forwardProgress);
    if (parsed.pushes.length === 0) return ignore(context, parsed.ignored ?? 'no image was pushed');
    await start(context, receiver, parsed, acceptPushes);
  };
}

async function start(
  context: RequestContext,
  { namesOneOfSeveralTags }: Receiver,
  parsed: ParsedRequest,
  acceptPushes: AcceptPushes,
): Promise<void> {
  const accepted = await acceptPushes({ pushes: parsed.pushes, namesOneOfSeveralTags });
  if (accepted.rollouts.length + accepted.resolving.length === 0) return ignore(context, whyNothing(accepted, parsed));
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
  return `no service follows ${listed(pushes.map(({ repository, tag }) => formatReference({ repository, tag })))}`;
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
