import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { oneLine } from '../../domain/inert-text.ts';
import { type SpanAttributes, type SpanError, type TraceContext, type TraceSpan, withoutAbsent } from '../../domain/trace.ts';

/** What becomes of something that has a span, for whoever ends it. */
export interface SpanEnd {
  readonly attributes?: SpanAttributes;
  readonly error?: SpanError;
}

export interface SpanStart extends Pick<TraceSpan, 'name' | 'kind' | 'attributes' | 'links'> {
  /** Default: of its own, by chance. */
  readonly context?: TraceContext;
  readonly parentId?: string | undefined;
  /** Default: now. */
  readonly startMs?: number;
}

export type Tracer = ReturnType<typeof createTracer>;

const longestText = 256;

/**
 * The traces of a process.
 * @param ratio of those that begin here, the part that is sent
 * @param mask hides secrets, as in the log
 * @param emit takes a span that has ended
 */
export function createTracer(ratio: number, mask: (text: string) => string, emit: (span: TraceSpan) => void) {
  const places = new AsyncLocalStorage<TraceContext>();
  const shown = (text: string): string => oneLine(mask(text), longestText);
  const shownAttributes = (all: SpanAttributes): SpanAttributes =>
    Object.fromEntries(Object.entries(all).map(([name, value]) => [name, typeof value === 'string' ? shown(value) : value]));
  return {
    /** What is under way here, as far as it has a trace. */
    current: () => places.getStore(),
    begin: (): TraceContext => {
      const traceId = randomBytes(16).toString('hex');
      return { traceId, spanId: newSpanId(), sampled: isWithin(ratio, traceId) };
    },
    within: <Outcome>(context: TraceContext, act: () => Outcome): Outcome => places.run(context, act),
    /** From outside, it may carry anything. */
    ended(span: TraceSpan): void {
      if (!span.context.sampled) return;
      const { attributes, error } = span;
      const type = error === undefined ? {} : { 'error.type': error.type };
      emit({
        ...span,
        name: shown(span.name),
        attributes: shownAttributes({ ...attributes, ...type }),
        ...(error !== undefined && {
          error: { type: error.type, ...withMessage(error.message === undefined ? undefined : shown(error.message)) },
        }),
      });
    },
  };
}

function withMessage(message: string | undefined): { readonly message?: string } {
  return message === undefined ? {} : { message };
}

export function newSpanId(): string {
  return randomBytes(8).toString('hex');
}

/** By the last 56 bits of the id, which are by chance also where others made it: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag */
function isWithin(ratio: number, traceId: string): boolean {
  return Number.parseInt(traceId.slice(-14), 16) / 2 ** 56 < ratio;
}

/** What is told of something that was thrown. */
export function spanErrorOf(error: unknown): SpanError {
  if (!(error instanceof Error)) return { type: 'Error' };
  const { type } = withoutAbsent({ type: 'type' in error && typeof error.type === 'string' ? error.type : undefined });
  return { type: String(type ?? error.name), message: error.message };
}
