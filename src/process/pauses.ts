import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import type { Log } from '../domain/log.ts';

/** One step that this process takes. */
interface RunningStep {
  /** As the activity is called: `watchStage`. */
  readonly step: string;
  readonly service?: string;
  /** Of the workflow that asked for it: a rollout's, mostly. */
  readonly workflow?: string;
}

export interface Pauses {
  /** For the workers of this process: by it a pause knows what was under way. */
  readonly interceptor: ActivityInterceptorsFactory;
  /** Begins to report pauses. Loading and bundling at the start may take long, and is not reported. */
  start(): void;
  stop(): void;
}

/** Far below what heartbeats (10 s) and senders of webhooks bear, far above what a step of ours has to take. */
const longestMs = 200;
const lookEveryMs = 20;
const mostSteps = 20;

/**
 * Watches whether the event loop of this process is blocked: meanwhile no heartbeat is sent and no request is answered. A pause of more than
 * 200 ms is logged with the steps that were under way, and with the processor time in it: if that alone is too long, our code blocks; else
 * the machine did not let us run.
 */
export function watchPauses(log: Pick<Log, 'warn'>): Pauses {
  const underWay = new Set<RunningStep>();
  /** They ended since the last look: the one that stood in the way may have ended with the pause. */
  const ended = new Set<RunningStep>();
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
