import { createHash } from 'node:crypto';
import type { Log } from '../../domain/log.ts';
import { answer } from '../../http/app.ts';
import { withoutBuild } from '../../http/authentication.ts';
import { type BodyLimits, parseJson, readBody, requireMediaType } from '../../http/body.ts';
import { malformed, Problem } from '../../http/problem.ts';
import type { KnownNetworks } from '../../http/shares.ts';
import { thinLines } from '../../http/thin-lines.ts';
import type { CommitPush, ForgeProgress, PushedImage, Receiver } from '../../sources/kit/source.ts';
import type { AcceptCommits } from './accept-commits.ts';
import type { AcceptedPush, AcceptedPushes, AcceptPushes } from './accept-pushes.ts';
import type { ForwardProgress } from './forward-progress.ts';
import { pushesOf, type ReceivedPushes } from './plan-starts.ts';
import type { RequestContext } from './request.ts';
import type { Senders } from './senders.ts';

export interface ReceiveDependencies {
  readonly acceptPushes: AcceptPushes;
  readonly acceptCommits: AcceptCommits;
  readonly forwardProgress: ForwardProgress;
  readonly senders: Senders;
  readonly log: Log;
  readonly now: () => Date;
  readonly bodyLimits?: BodyLimits;
  /** Gets the networks of senders that have proven who they are. */
  readonly known: KnownNetworks;
}

/** Payloads of registries are a few KiB; GitHub's longest are some 100. */
const defaultBodyLimits: BodyLimits = { bytes: 1024 * 1024, timeoutMs: 10_000 };

/** @param pathSecret what follows the receiver's path, if it takes that */
export type AnswerRequest = (context: RequestContext, pathSecret?: string) => Promise<void>;

/** Answers the requests of one receiver, with the status codes that its senders expect. */
export function receive(receiver: Receiver, dependencies: ReceiveDependencies): AnswerRequest {
  const work = createWork(receiver, dependencies);
  const { statuses = {} } = receiver;
  return async (context, pathSecret) => {
    try {
      await work(context, pathSecret);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      throw error.withStatus(statuses[error.outcome]);
    }
    if (context.state.outcome === 'ignored' && statuses.ignored !== undefined) {
      // A sender that reads 202 as accepted is told what came of it as well.
      context.body = { rollouts: [], resolving: [], ignored: context.state.ignored };
      context.status = statuses.ignored;
    }
  };
}

/** The way of one request: what its headers rule out, its bytes, whether they are authentic, what they say, and what comes of that. */
function createWork(receiver: Receiver, dependencies: ReceiveDependencies): AnswerRequest {
  const { now, bodyLimits = defaultBodyLimits, forwardProgress, acceptPushes, acceptCommits, senders, known, log } = dependencies;
  const { source, namesOneOfSeveralTags = false, authenticationAdvice, challenge } = receiver;
  const logRefusal = thinRefusals(log, receiver);
  const refusal = new Problem(401, 'unauthenticated', authenticationAdvice, { 'WWW-Authenticate': challenge }).withStatus(
    receiver.statuses?.unauthenticated,
  );
  return async (context, pathSecret) => {
    const { req, res, querystring, state } = context;
    requireMediaType(req.headers, receiver);
    const query = new URLSearchParams(querystring);
    const head = { headers: req.headers, pathSecret, query, address: state.address, certificate: senders.certificateOf(req) };
    let reading: Promise<Buffer> | undefined;
    const body = (): Promise<Buffer> => {
      reading ??= readBody(req, res, bodyLimits);
      return reading;
    };
    const authenticity = await receiver.authenticate(head, body);
    if (!authenticity.authentic) {
      state.reason = authenticity.reason;
      logRefusal(authenticity.reason, state.address);
      return answer(context, refusal);
    }
    known.add(state.network);
    state.body = await body();
    const parsed = receiver.parse({ headers: req.headers, query, body: parseJson(state.body) });
    const { commits, progress, ignored, again = false } = parsed;
    const { identity = {} } = authenticity;
    const sender = again ? withoutBuild(identity) : identity;
    state.parsed = { ...parsed, images: parsed.images.map((image) => ({ ...image, ...sender })) };
    if (again && !authenticity.byHand)
      throw malformed(
        'Expected again only from a run that somebody has started by hand: workflow_dispatch, at GitLab a pipeline from the web.',
      );
    if (progress !== undefined) return await passOn(context, progress, forwardProgress);
    if (commits !== undefined) {
      const about = { source, deliveryId: parsed.deliveryId, receivedAt: now().toISOString() };
      return building(context, commits, await acceptCommits(commits, about));
    }
    if (parsed.images.length === 0) return ignore(context, ignored ?? 'no image was pushed');
    const { images, foreign } = ofReceiver(parsed.images, receiver);
    if (foreign !== undefined) log.warn({ source, reason: foreign }, 'a receiver told of images that it may not tell of');
    if (images.length === 0) return ignore(context, foreign ?? 'no image was pushed');
    const about = { source, receivedAt: now().toISOString(), ...sender };
    const signed = parsed.isOnlyOnce
      ? {
          signedId: createHash('sha256').update(state.body).digest('hex'),
        }
      : {};
    const pushes = pushesOf({ ...parsed, images }, about).map((push) => ({ ...push, ...signed }));
    await start(context, { pushes, namesOneOfSeveralTags, again }, acceptPushes);
    if (foreign !== undefined) context.state.ignored ??= foreign;
  };
}

/**
 * What a receiver may tell of: the secret of one registry's webhooks must not start anything of another one. The rest is left out and not
 * refused, because a registry repeats what is refused; where the receiver may tell of it after all, the search finds it.
 */
function ofReceiver(told: readonly PushedImage[], { source, allowedImages: allowed }: Receiver) {
  const images = told.filter(({ repository }) => allowed?.includes(repository) ?? true);
  if (images.length === told.length) return { images };
  const others = listed(told.filter((image) => !images.includes(image)).map(({ repository }) => repository));
  const setting = `receivers.${source.replace('/', '.')}.images`;
  return { images, foreign: `this receiver may not tell of ${others}: list it in ${setting} if it may` };
}

async function start(context: RequestContext, received: ReceivedPushes, acceptPushes: AcceptPushes): Promise<void> {
  const accepted = await acceptPushes(received);
  if (accepted.rollouts.length + accepted.resolving.length + (accepted.forwarding ?? []).length === 0)
    return ignore(context, whyNothing(accepted, received));
  context.state.accepted = accepted;
  accept(context, accepted);
}

function building(context: RequestContext, { repositories, branch }: CommitPush, found: readonly AcceptedPush[]): void {
  if (found.length === 0) {
    ignore(context, `no build is made of ${branch} of ${repositories[0]}`);
    return;
  }
  const accepted: AcceptedPushes = { rollouts: [], resolving: [], building: found };
  context.state.accepted = accepted;
  accept(context, accepted);
}

async function passOn(context: RequestContext, progress: ForgeProgress, forwardProgress: ForwardProgress): Promise<void> {
  const forwarded = await forwardProgress(progress);
  if ('ignored' in forwarded) return ignore(context, forwarded.ignored);
  context.state.signalled = forwarded.signalled;
  accept(context, { progress: forwarded.signalled.map(({ id }) => id) });
}

function accept(context: RequestContext, body: object): void {
  context.state.outcome = 'accepted';
  context.status = 202;
  context.body = body;
}

function whyNothing({ refused, repeated = [] }: AcceptedPushes, { pushes }: ReceivedPushes): string {
  if (repeated.length > 0) return `it was passed on before: ${repeated.map(({ id }) => id).join(', ')}`;
  if (refused === undefined)
    return `no service follows ${listed(pushes.map(({ repository, tag }) => (tag === undefined ? repository : `${repository}:${tag}`)))}`;
  return `Temporal takes no workflow for ${listed(refused.map(({ image }) => image))}; the log of the server says why`;
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

/** What one address alone may send by default; so only a flood from many addresses is thinned, or one that the limits allow. */
const mostInASecond = 20;

/** Logs why requests of a receiver are not authentic: of a flood, the first of each second and the number of the others. */
export function thinRefusals(
  log: Pick<Log, 'warn'>,
  { source, refusedInLog = 'a request was refused: it is not authentic' }: Pick<Receiver, 'source' | 'refusedInLog'>,
  everyMs?: number,
): (reason: string, address: string) => void {
  const write = thinLines<{ readonly reason: string; readonly address: string }>(
    { most: mostInASecond, everyMs },
    (about) => log.warn({ source, ...about }, refusedInLog),
    (omitted) => log.warn({ source, omitted }, `${refusedInLog}; so were others in the same second`),
  );
  return (reason, address) => write({ reason, address });
}
