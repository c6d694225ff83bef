import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Headers, WorkflowClientInterceptor } from '@temporalio/client';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { traceIn, withTrace } from '../contracts/trace-header.ts';
import type { Environment } from '../domain/environment.ts';
import { messageOf } from '../domain/errors.ts';
import { outcomeOf, spanIdOf, subjectOf, type TraceSpan } from '../domain/trace.ts';
import { parseTracing } from '../settings/tracing.ts';
import { createExporter } from '../telemetry/tracing/exporter.ts';
import { createTracer, newSpanId, spanErrorOf, type Tracer } from '../telemetry/tracing/tracer.ts';
import type { Logging } from './logging.ts';
import { packageVersion } from './package-version.ts';

/** The traces of a process, loaded only where they are asked for. */
export interface Tracing {
  readonly tracer: Tracer;
  readonly client: WorkflowClientInterceptor;
  readonly activities: ActivityInterceptorsFactory;
  /** Takes what workflows tell of. */
  readonly ended: (span: TraceSpan) => void;
  close(): Promise<void>;
}

/** @returns undefined where the variables cannot be read, which is logged: what is optional keeps nothing from starting */
export function openTracing(env: Environment, { log, mask }: Pick<Logging, 'log' | 'mask'>): Tracing | undefined {
  try {
    const { resource: named, ratio, ...settings } = parseTracing(env);
    for (const value of Object.values(settings.headers)) mask.add(value);
    mask.add(settings.url.password);
    const resource = { ...ownResource(), ...named };
    const { add, close } = createExporter({ ...settings, resource, log });
    const tracer = createTracer(ratio, mask, add);
    return { tracer, client: tracedClient(tracer), activities: tracedActivities(tracer), ended: tracer.ended, close };
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'no traces are sent: a variable of OpenTelemetry is not as expected');
    return undefined;
  }
}

function ownResource(): Record<string, string> {
  return {
    'service.version': packageVersion(),
    'service.instance.id': randomUUID(),
    'host.name': hostname(),
    'telemetry.sdk.name': 'landfall',
    'telemetry.sdk.language': 'nodejs',
  };
}

/** Whatever is started by hand, by a schedule or by a lane begins a trace. Of the others each belongs to one, or to none. */
const beginTraces = ['rollout', 'resolve', 'passThrough', 'searchBuilds', 'build', 'rollback'];

/** Hands the trace of what is under way to the workflows that it starts. */
export function tracedClient(tracer: Tracer): WorkflowClientInterceptor {
  const started = async <Outcome>(
    { verb, type, id = '' }: { readonly verb: string; readonly type: string; readonly id?: string | undefined },
    headers: Headers,
    next: (headers: Headers) => Promise<Outcome>,
  ): Promise<Outcome> => {
    const above = tracer.current();
    if (above === undefined && !beginTraces.includes(type)) return await next(headers);
    const context = above === undefined ? tracer.begin() : { ...above, spanId: newSpanId() };
    const about = { name: `${verb}:${type}`, kind: 'producer' as const, context, startMs: Date.now() };
    const span = { ...about, ...(above && { parentId: above.spanId }), attributes: { temporalWorkflowID: id } };
    try {
      const answer = await next(withTrace(headers, context));
      tracer.ended({ ...span, endMs: Date.now() });
      return answer;
    } catch (error) {
      tracer.ended({ ...span, endMs: Date.now(), error: spanErrorOf(error) });
      throw error;
    }
  };
  return {
    startWithDetails: (input, next) =>
      started({ verb: 'StartWorkflow', type: input.workflowType, id: input.options.workflowId }, input.headers, (headers) =>
        next({ ...input, headers }),
      ),
    signalWithStart: (input, next) =>
      started(
        { verb: 'SignalWithStartWorkflow', type: input.workflowType, id: input.options.workflowId },
        input.headers,
        (headers) => next({ ...input, headers }),
      ),
    /** To a lane: it serves many rollouts, so that only the update is part of the trace, and not the start. */
    startUpdateWithStart(input, next) {
      const context = tracer.current();
      return next(context === undefined ? input : { ...input, updateHeaders: withTrace(input.updateHeaders, context) });
    },
  };
}

/** A span for each attempt that comes to its end; the step that it is for knows of those that a kill cut off. */
export function tracedActivities(tracer: Tracer): ActivityInterceptorsFactory {
  return ({ info }) => ({
    inbound: {
      async execute(input, next) {
        const parent = traceIn(input.headers);
        if (parent === undefined) return await next(input);
        const { activityType, activityId, attempt, taskQueue, workflowExecution } = info;
        const { runId = '', workflowId = '' } = workflowExecution ?? {};
        const context = { ...parent, spanId: spanIdOf(runId, activityType, activityId, attempt) };
        const [scheduledMs, begunMs] = [info.currentAttemptScheduledTimestampMs, Date.now()];
        const attributes = {
          ...{ temporalWorkflowID: workflowId, temporalRunID: runId, temporalActivityID: activityId },
          ...{ 'landfall.attempt': attempt, 'landfall.queue': taskQueue, ...subjectOf(input.args[0]) },
          'landfall.waited_ms': scheduledMs > 0 ? Math.max(0, begunMs - scheduledMs) : 0,
        };
        // From when Temporal had it to be done.
        const startMs = scheduledMs > 0 ? Math.min(scheduledMs, begunMs) : begunMs;
        const about = { name: `RunActivity:${activityType}`, kind: 'internal' as const };
        const span = { ...about, context, parentId: parent.spanId, startMs, attributes };
        try {
          const answer = await tracer.within(context, () => next(input));
          tracer.ended({ ...span, endMs: Date.now(), attributes: { ...attributes, ...outcomeOf(answer) } });
          return answer;
        } catch (error) {
          tracer.ended({ ...span, endMs: Date.now(), error: spanErrorOf(error) });
          throw error;
        }
      },
    },
  });
}
