import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import { memberOf } from '../domain/json.ts';
import { formatTraceparent, parseTraceparent, type TraceContext } from '../domain/trace.ts';

/** As the interceptors of Temporal's own SDKs call it. Headers have no seal: docs/decisions/0072-traces-by-interceptors.md. */
const name = '_tracer-data';

export function withTrace(headers: Headers, context: TraceContext): Headers {
  return { ...headers, [name]: defaultPayloadConverter.toPayload({ traceparent: formatTraceparent(context) }) };
}

/** @returns undefined where there is none, or what is there cannot be read: anybody who reaches Temporal may have sent it */
export function traceIn(headers: Headers): TraceContext | undefined {
  const payload = headers[name];
  if (payload === undefined || (payload.data?.length ?? 0) > 1_000) return undefined;
  try {
    return parseTraceparent(memberOf(defaultPayloadConverter.fromPayload(payload), 'traceparent'));
  } catch {
    return undefined;
  }
}
