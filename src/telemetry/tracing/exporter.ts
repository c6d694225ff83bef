import type { Log } from '../../domain/log.ts';
import type { SpanAttributes, TraceSpan } from '../../domain/trace.ts';
import { HttpFailure, request } from '../../platform/http/client.ts';
import type { TracingSettings } from '../../settings/tracing.ts';
import { encodeSpans } from './otlp.ts';

export interface ExporterOptions extends Pick<TracingSettings, 'url' | 'headers' | 'timeoutMs'> {
  readonly resource: SpanAttributes;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Milliseconds from a span to its request, so that others go with it. */
  readonly delayMs?: number;
  /** Spans that wait at most; what comes beyond that is lost. */
  readonly most?: number;
  /** Milliseconds that `close` waits. */
  readonly graceMs?: number;
}

/** As the specification has it for batches. */
const mostWaiting = 2_048;
const mostInRequest = 512;
const longestPauseMs = 60_000;
/** What the specification has repeated: the others will not be taken the next time either. */
const passing = [429, 502, 503, 504];

/** Sends spans to a collector. Nothing waits for it. That it fails is said once, and that it works again once more. */
export function createExporter(options: ExporterOptions) {
  const { log, delayMs = 1_000, most = mostWaiting, graceMs = 2_000 } = options;
  const closing = new AbortController();
  const waiting: TraceSpan[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let [failures, lost, isClosed] = [0, 0, false];

  const plan = (milliseconds: number): void => {
    if (timer !== undefined || sending !== undefined || isClosed || waiting.length === 0) return;
    timer = setTimeout(send, milliseconds).unref();
  };
  const send = (): void => {
    clearTimeout(timer);
    timer = undefined;
    sending = sendNext().finally(() => {
      sending = undefined;
      if (failures > 0) plan(Math.min(longestPauseMs, delayMs * 2 ** failures));
      else plan(waiting.length >= mostInRequest ? 0 : delayMs);
    });
  };
  const loseOne = (): void => {
    if (lost === 0 && failures === 0) log.warn({ waiting: most }, 'too many spans wait for the collector: what comes is lost');
    lost += 1;
  };
  const sendNext = async (): Promise<void> => {
    const batch = waiting.splice(0, mostInRequest);
    const problem = await post(batch, options, closing.signal);
    if (problem === undefined) return succeeded();
    if (problem.passes) waiting.unshift(...batch);
    lost += problem.passes ? waiting.splice(most).length : batch.length;
    failures += 1;
    if (failures === 1) log.warn({ reason: problem.reason }, 'traces cannot be sent: check OTEL_EXPORTER_OTLP_ENDPOINT');
  };
  const succeeded = (): void => {
    if (failures > 0 || lost > 0) log.info({ lost }, 'traces can be sent again');
    [failures, lost] = [0, 0];
  };

  return {
    add(span: TraceSpan): void {
      if (isClosed) return;
      if (waiting.length >= most) loseOne();
      else waiting.push(span);
      // What fills a request need not wait for others.
      const isFull = waiting.length >= mostInRequest && failures === 0 && sending === undefined;
      if (isFull) send();
      else plan(delayMs);
    },
    /** Sends what waits, within a bounded time, unless the collector is known to be away. */
    async close(): Promise<void> {
      isClosed = true;
      clearTimeout(timer);
      const deadline = setTimeout(() => closing.abort(), graceMs);
      await sending;
      while (waiting.length > 0 && failures === 0 && !closing.signal.aborted) await sendNext();
      clearTimeout(deadline);
      lost += waiting.length;
      if (lost > 0) log.warn({ lost }, 'spans of traces could not be sent');
    },
  };
}

interface SendProblem {
  readonly reason: string;
  /** It may be taken later. */
  readonly passes: boolean;
}

/** @returns what went wrong, without the address: it may be secret */
async function post(
  spans: readonly TraceSpan[],
  { url, headers, timeoutMs, resource }: ExporterOptions,
  signal: AbortSignal,
): Promise<SendProblem | undefined> {
  try {
    const { status } = await request({
      ...{ what: 'the collector of traces', method: 'POST', url, signal, timeoutMs },
      headers: { ...headers, 'content-type': 'application/x-protobuf' },
      body: encodeSpans(spans, resource),
    });
    if (status >= 200 && status < 300) return undefined;
    return { reason: `the collector answers ${status}`, passes: passing.includes(status) };
  } catch (error) {
    if (error instanceof HttpFailure) return { reason: `the collector ${error.reason}`, passes: true };
    return { reason: signal.aborted ? 'the process stops' : 'the request failed', passes: signal.aborted };
  }
}
