import type { Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Audit } from '../../domain/audit.ts';
import { masked } from '../../domain/inert-text.ts';
import type { Log } from '../../domain/log.ts';
import { problemMediaType } from '../../http/problem.ts';
import { onlyRoutine, type Receiver } from '../../sources/kit/source.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { shownBody } from '../../telemetry/shown-body.ts';
import { type RequestContext, type RequestState, sourceOf } from './request.ts';

export interface RecordDependencies {
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly now: () => Date;
}

/** One count for every request, and one audit entry for every one that is about more than pulls, whatever becomes of it. To be used outside of what answers errors. */
export function recordRequests({ audit, metrics, now }: RecordDependencies): Middleware<RequestState> {
  return async (context, next) => {
    const begun = performance.now();
    await next();
    const milliseconds = performance.now() - begun;
    const { state, status } = context;
    const { outcome = 'failed', accepted, signalled } = state;
    const source = sourceOf(state);
    metrics.requestAnswered(source, outcome, milliseconds / 1000);
    if (accepted !== undefined) metrics.pushesAccepted(accepted);
    if (signalled !== undefined) metrics.progressForwarded(signalled);
    const { routine, ignored } = state.parsed ?? {};
    if (routine !== undefined) metrics.routineTold(source, routine);
    // A registry that tells of pulls would fill the log with our own.
    if (routine !== undefined && ignored === onlyRoutine && outcome === 'ignored') return;
    audit({
      timestamp: now().toISOString(),
      event_type: 'webhook_received',
      source,
      outcome,
      status,
      ...contentOf(state),
      remote_address: state.address,
      duration_ms: Math.round(milliseconds),
    });
  };
}

/** What the request was about and what came of it; nothing that it says itself before it is known to be authentic. */
function contentOf({ parsed, accepted, signalled, ignored, reason }: RequestState) {
  const refused = reason === undefined ? {} : { reason };
  if (parsed === undefined)
    return { services: [], action: null, images: [], repositories: [], rollouts: [], resolving: [], ...refused };
  const { rollouts = [], resolving = [], forwarding = [], building = [] } = accepted ?? {};
  const concerned = [...rollouts, ...resolving, ...forwarding, ...building, ...(signalled ?? [])];
  const repositories = [
    ...parsed.images.map(({ sourceRepository }) => sourceRepository),
    parsed.progress?.repository,
    parsed.commits?.repositories[0],
  ];
  return {
    delivery: parsed.deliveryId,
    event: parsed.event,
    services: [...new Set(concerned.map(({ service }) => service))],
    action: parsed.action ?? null,
    images: [...new Set(parsed.images.map(({ repository }) => repository))],
    repositories: [...new Set(repositories.filter((name) => name !== undefined))],
    rollouts: rollouts.map(({ id }) => id),
    resolving: resolving.map(({ id }) => id),
    ...(forwarding.length === 0 ? {} : { forwarding: forwarding.map(({ id }) => id) }),
    ...(building.length === 0 ? {} : { building: [...new Set(building.map(({ id }) => id))] }),
    ...(signalled === undefined ? {} : { progress: signalled.map(({ id }) => id) }),
    ...(ignored === undefined ? {} : { ignored }),
    ...refused,
  };
}

const longestValue = 200;
const mostNames = 50;

/** Only these are shown, and those that the source says: the name of a header with a secret in it is for its sender, and for the configuration, to choose. */
const shownHeaders =
  /^(?:host|user-agent|date|content-(?:type|length|encoding)|accept(?:-encoding|-language)?|connection|transfer-encoding|expect|via|forwarded|x-forwarded-(?:for|proto|host)|x-real-ip|x-request-id|traceparent|ce-(?:id|type|source|specversion|subject|time))$/;

/**
 * Logs every request and its answer at level debug, and costs nothing at any other. The body is shown of what is authentic only; of what
 * a request carries beside it, values that may be secret are masked by their position, whether they are secret or not.
 * @param log one that cannot tell its level is taken to log everything
 */
export function debugRequests(log: Log & Partial<Pick<Logger, 'isLevelEnabled'>>): Middleware<RequestState> {
  let count = 0;
  const logged = async (context: RequestContext, next: () => Promise<unknown>): Promise<void> => {
    count += 1;
    const request = count;
    const begun = performance.now();
    log.debug(
      {
        request,
        method: context.method,
        path: shownPath(context.state.receiver, context.path),
        ...(context.querystring !== '' && { query: namesOnly(context.querystring) }),
        headers: shownOf(context.headers, context.state.receiver?.shownHeaders),
        address: context.req.socket.remoteAddress,
      },
      'a request comes in',
    );
    try {
      await next();
    } finally {
      const { status, response } = context;
      const { outcome, reason, body = Buffer.alloc(0) } = context.state;
      const duration_ms = Math.round(performance.now() - begun);
      // A problem is answered past Koa, which so knows nothing of its headers.
      const type = context.respond === false ? problemMediaType : response.get('content-type') || undefined;
      const said = context.respond === false ? { reason } : { answer: context.body };
      const about = { request, status, type, length: response.length, outcome, duration_ms };
      log.debug({ ...about, body: shownBody(body), ...said }, 'it is answered');
    }
  };
  return (context, next) => (log.isLevelEnabled?.('debug') === false ? next() : logged(context, next));
}

/** What follows a receiver's path is its secret; what follows any other path may be a secret that was sent to the wrong place. */
function shownPath(receiver: Receiver | undefined, path: string): string {
  const own = receiver?.path;
  if (own !== undefined) return path === own ? path : `${own}/${masked}`;
  const [, first = '', second = '', ...others] = path.split('/');
  const segments = [first, second].map((segment) => (/^[a-z-]{0,20}$/.test(segment) ? segment : masked));
  return ['', ...segments.filter((segment, index) => segment !== '' || index === 0), ...(others.length > 0 ? [masked] : [])].join(
    '/',
  );
}

function namesOnly(querystring: string): string {
  const names = [...new URLSearchParams(querystring).keys()].slice(0, mostNames);
  // A sender may put a secret in the place of a name.
  return names.map((name) => `${/^[a-z_]{1,16}$/i.test(name) ? name : masked}=${masked}`).join('&');
}

function shownOf(headers: NodeJS.Dict<string | string[]>, ofSource: readonly string[] = []): Record<string, string> {
  const shown = Object.entries(headers).slice(0, mostNames);
  return Object.fromEntries(
    shown.map(([name, value]) => [
      name.slice(0, longestValue),
      shownHeaders.test(name) || ofSource.includes(name) ? String(value).slice(0, longestValue) : masked,
    ]),
  );
}
