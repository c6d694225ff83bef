import type { Middleware } from 'koa';
import { parseTraceparent, withoutAbsent } from '../../domain/trace.ts';
import type { Tracer } from '../../telemetry/tracing/tracer.ts';
import { type RequestState, sourceOf } from './request.ts';

/**
 * A trace for each request that turns out to be authentic and understood, by the conventions for HTTP servers. What the sender says of a trace
 * of its own becomes a link: whether ours is kept, and how it is called, is not for strangers to say.
 */
export function traceRequests(tracer: Tracer): Middleware<RequestState> {
  return async (context, next) => {
    const [begun, startMs] = [tracer.begin(), Date.now()];
    await tracer.within(begun, next);
    const { state, status, method, headers } = context;
    const { parsed, receiver, outcome } = state;
    if (parsed === undefined || receiver === undefined) return;
    const link = parseTraceparent(headers.traceparent);
    tracer.ended({
      ...{ name: `${method} ${receiver.path}`, kind: 'server', context: begun, startMs, endMs: Date.now() },
      attributes: withoutAbsent({
        'http.request.method': method,
        'http.route': receiver.path,
        'http.response.status_code': status,
        'url.scheme': context.protocol,
        // What follows it may be a secret.
        'url.path': receiver.path,
        'landfall.source': sourceOf(state),
        'landfall.delivery': parsed.deliveryId,
        'landfall.outcome': outcome,
      }),
      ...(link !== undefined && { links: [link] }),
      ...(status >= 500 && { error: { type: String(status) } }),
    });
  };
}
