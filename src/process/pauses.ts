import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';

/** As much of a pino logger as is used. */
export interface PauseLog {
  warn(fields: object, message: string): void;
}

/** One step that this process takes. */
interface Step {
  /** As the activity is called: `watchStage`. */
  readonly step: string;
  readonly service?: string;
  /** Of the workflow that asked for it: a rollout's, mostly. */
  readonly workflow?: string;
}

export interface Pauses {
  /** For the workers of this process: by it a pause knows what was under way. */
  readonly interceptor: ActivityInterceptorsFactory;
  /** From here on pauses are told of. What is loaded and bundled at the start takes as long as it takes. */
  start(): void;
  stop(): void;
}

/** Far below what heartbeats (10 s) and senders of webhooks bear, far above what a step of ours has to take. */
const longestMs = 200;
const lookEveryMs = 20;
const mostSteps = 20;

/**
 * Watches whether the one thread of this process that does everything stands still: meanwhile no heartbeat is sent, no request answered. A
 * pause beyond 200 ms is a line in the log, with the steps that were under way, and with how much of it the thread was at work: for that
 * alone too long, and something here takes too long; else the machine did not let it.
 */
export function watchPauses(log: PauseLog): Pauses {
  const underWay = new Set<Step>();
  /** They ended since the last look: the one that stood in the way may have ended with the pause. */
  const ended = new Set<Step>();
  let clock: ProcessorClock | undefined;
  let timer: NodeJS.Timeout | undefined;

  function look(before: { at: number; processorMs: number }, processor: ProcessorClock): void {
    const now = { at: performance.now(), processorMs: processor.now() };
    const pauseMs = Math.round(now.at - before.at);
    if (pauseMs > longestMs) {
      const processorMs = Math.min(pauseMs, Math.round(now.processorMs - before.processorMs));
      const steps = [...underWay, ...ended];
      const more = steps.length > mostSteps ? { more: steps.length - mostSteps } : {};
      log.warn({ pauseMs, processorMs, steps: steps.slice(0, mostSteps), ...more }, messageOf(pauseMs, processorMs));
    }
    ended.clear();
    Object.assign(before, now);
  }

  return {
    interceptor: ({ info }) => ({
      inbound: {
        async execute(input, next) {
          const service = serviceOf(input.args[0]);
          const workflow = info.workflowExecution?.workflowId;
          const step = { step: info.activityType, ...(service && { service }), ...(workflow && { workflow }) };
          underWay.add(step);
          try {
            return await next(input);
          } finally {
            underWay.delete(step);
            ended.add(step);
          }
        },
      },
    }),
    start() {
      const processor = openProcessorClock();
      clock = processor;
      const before = { at: performance.now(), processorMs: processor.now() };
      timer = setInterval(() => look(before, processor), lookEveryMs).unref();
    },
    stop() {
      clearInterval(timer);
      clock?.close();
      clock = undefined;
    },
  };
}

function messageOf(pauseMs: number, processorMs: number): string {
  const what = `Landfall stood still for ${pauseMs} ms, ${processorMs} ms of it on the processor`;
  return processorMs > longestMs
    ? `${what}: something in it took too long; please report this line`
    : `${what}: the machine let it wait, for a processor or a disk, or had suspended it`;
}

/** Steps get the plan of their service, or its name. */
function serviceOf(input: unknown): string | undefined {
  const named = memberOf(memberOf(input, 'plan'), 'service') ?? memberOf(input, 'service');
  return typeof named === 'string' ? named : undefined;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

interface ProcessorClock {
  /** Milliseconds that the thread has had a processor for. */
  now(): number;
  close(): void;
}

/** Linux counts for each thread, in steps of 10 ms; elsewhere there is only the time of all threads of the process together. */
function openProcessorClock(): ProcessorClock {
  // The first thread has the number of the process. See proc_pid_stat(5): fields 14 and 15, and the second may have blanks in it.
  const ofThread = `/proc/self/task/${process.pid}/stat`;
  if (!existsSync(ofThread)) {
    return { now: () => (process.cpuUsage().user + process.cpuUsage().system) / 1_000, close: () => undefined };
  }
  const file = openSync(ofThread, 'r');
  const bytes = Buffer.alloc(1_024);
  return {
    now() {
      const text = bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, 0));
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) * 10;
    },
    close: () => closeSync(file),
  };
}
