import {
  ActivityFailure,
  type ActivityInput,
  ApplicationFailure,
  AsyncLocalStorage,
  ContinueAsNew,
  isCancellation,
  type LocalActivityInput,
  proxySinks,
  type Sinks,
  type WorkflowInboundCallsInterceptor,
  type WorkflowOutboundCallsInterceptor,
  workflowInfo,
} from '@temporalio/workflow';
import { traceIn, withTrace } from '../contracts/trace-header.ts';
import {
  outcomeOf,
  type SpanAttributes,
  type SpanError,
  spanIdOf,
  subjectOf,
  type TraceContext,
  type TraceSpan,
  withoutAbsent,
} from '../domain/trace.ts';

/*
 * A workflow that was started with a trace in its headers passes that on to what it asks for, and tells its worker of spans: of the run, of each
 * step, of updates. Which trace it is, and the ids of spans, come from the history alone, so that every replay and every worker finds the
 * same. Nothing waits for a promise of these: what a workflow does next must not depend on whether somebody watches.
 */

/** A sink leaves nothing in the history and is not called in a replay. A worker that dies within a task may tell of a span twice, by the same id. */
export interface TraceSinks extends Sinks {
  readonly trace: { ended(span: TraceSpan): void };
}

const { trace } = proxySinks<TraceSinks>();

/** What is done stands below this in the trace. */
interface TracePlace {
  readonly context: TraceContext;
  readonly run: TracedRun;
}

interface TracedRun {
  /** Above the run: the run that continues this one begins there as well. */
  readonly parent: TraceContext;
  readonly subject: SpanAttributes;
  /** Taken so far. */
  steps: number;
}

const places = new AsyncLocalStorage<TracePlace>();
/** What a workflow was asked for by a signal belongs to the trace of that. */
const ofRequests = new WeakMap<object, TraceContext>();

export const tracesInbound: WorkflowInboundCallsInterceptor = {
  execute(input, next) {
    const parent = traceIn(input.headers);
    if (parent === undefined) return next(input);
    const { runId, workflowId, workflowType, runStartTime } = workflowInfo();
    const run = { parent, subject: subjectOf(input.args[0]), steps: 0 };
    const context = { ...parent, spanId: spanIdOf(runId) };
    const about = { name: `RunWorkflow:${workflowType}`, context, parentId: parent.spanId, startMs: runStartTime.getTime() };
    const attributes = { temporalWorkflowID: workflowId, temporalRunID: runId, ...run.subject };
    return watched({ ...about, attributes }, () => places.run({ context, run }, () => next(input)));
  },
  handleSignal(input, next) {
    const context = traceIn(input.headers);
    const [request] = input.args;
    if (context !== undefined && typeof request === 'object' && request !== null) ofRequests.set(request, context);
    return next(input);
  },
  /** Of a lane or a merge queue, which serve many rollouts: a short span in the trace of the one that asks. */
  handleUpdate(input, next) {
    const parent = traceIn(input.headers);
    if (parent === undefined) return next(input);
    const { runId, workflowId } = workflowInfo();
    const context = { ...parent, spanId: spanIdOf(runId, 'update', input.updateId) };
    const about = { name: `HandleUpdate:${input.name}`, context, parentId: parent.spanId, startMs: Date.now() };
    const attributes = { temporalWorkflowID: workflowId, temporalRunID: runId, ...subjectOf(input.args[0]) };
    return watched({ ...about, attributes }, () => next(input));
  },
};

export const tracesOutbound: WorkflowOutboundCallsInterceptor = {
  scheduleActivity: (input, next) => next(passedOn(input)),
  scheduleLocalActivity: (input, next) => next(passedOn(input)),
  continueAsNew(input, next) {
    const parent = places.getStore()?.run.parent;
    return next(parent === undefined ? input : { ...input, headers: withTrace(input.headers, parent) });
  },
};

/** To the attempts of an activity, which have spans of their own. */
function passedOn<Input extends ActivityInput | LocalActivityInput>(input: Input): Input {
  const context = contextOfRequest(input.args[0]) ?? places.getStore()?.context;
  return context === undefined ? input : { ...input, headers: withTrace(input.headers, context) };
}

function contextOfRequest(asked: unknown): TraceContext | undefined {
  if (typeof asked !== 'object' || asked === null) return undefined;
  const request: unknown = Reflect.get(asked, 'request');
  return ofRequests.get(asked) ?? (typeof request === 'object' && request !== null ? ofRequests.get(request) : undefined);
}

/** A step of a rollout or of a build, however often it is tried and however long somebody thinks about it. */
export function tracedStep<Outcome>(
  { step, stage }: { readonly step: string; readonly stage?: string },
  take: () => Promise<Outcome>,
): Promise<Outcome> {
  const place = places.getStore();
  if (place === undefined) return take();
  const { context: parent, run } = place;
  run.steps += 1;
  const context = { ...parent, spanId: spanIdOf(workflowInfo().runId, 'step', run.steps) };
  const attributes = { ...run.subject, 'landfall.step': step, ...withoutAbsent({ 'landfall.stage': stage }) };
  const about = { name: step, context, parentId: parent.spanId, startMs: Date.now(), attributes };
  return watched(about, () => places.run({ context, run }, take));
}

/** @returns the very promise of what is done */
function watched<Outcome>(about: Omit<TraceSpan, 'kind' | 'endMs'>, act: () => Promise<Outcome>): Promise<Outcome> {
  const done = act();
  if (!about.context.sampled) return done;
  const end = (more: SpanAttributes, error?: SpanError): void => {
    const ended = { ...about, kind: 'internal' as const, endMs: Date.now(), attributes: { ...about.attributes, ...more } };
    trace.ended({ ...ended, ...(error !== undefined && { error }) });
  };
  done.then(
    (outcome) => end(outcomeOf(outcome)),
    (error: unknown) => {
      const ending = endingOf(error);
      if (ending === undefined) end({}, errorOf(error));
      else end({ 'landfall.outcome': ending });
    },
  );
  return done;
}

/** What is thrown to leave early, and is no failure. */
function endingOf(error: unknown): string | undefined {
  if (error instanceof ContinueAsNew) return 'continued-as-new';
  if (isCancellation(error)) return 'cancelled';
  return error instanceof Error && 'ending' in error ? outcomeWord(error.ending) : undefined;
}

function outcomeWord(ending: unknown): string {
  const end: unknown = typeof ending === 'object' && ending !== null ? Reflect.get(ending, 'end') : undefined;
  return typeof end === 'string' ? end : 'ended';
}

function errorOf(error: unknown): SpanError {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof Error)) return { type: 'Error' };
  return { type: (cause instanceof ApplicationFailure ? cause.type : undefined) ?? cause.name, message: cause.message };
}
