import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import type { Log } from '../domain/log.ts';

/** Far below what heartbeats (10 s) and senders of webhooks bear, far above what a step of ours has to take. */
const longestMs = 200;
/** Each look costs 70 µs, also where nothing is to be done: twenty a second are 0.14 % of a processor. */
const lookEveryMs = 50;
const mostSteps = 20;

/**
 * Watches whether the event loop of this process is blocked: meanwhile no heartbeat is sent and no request is answered. A pause of more than
 * 200 ms is logged with the steps that were under way, and with the processor time in it: if that alone is too long, our code blocks; else
 * the machine did not let us run.
 */
export function watchPauses(log: Pick<Log, 'warn'>) {
  const underWay = new Set<object>();
  /** They ended since the last look: the one that stood in the way may have ended with the pause. */
  const ended = new Set<object>();
  let timer: NodeJS.Timeout | undefined;

  function report(pauseMs: number, processorMs: number): void {
    const steps = [...underWay, ...ended];
    const more = steps.length > mostSteps ? { more: steps.length - mostSteps } : {};
    const whose =
      processorMs > longestMs
        ? 'something in it took too long; please report this line'
        : 'the machine let it wait, for a processor or a disk, or had suspended it';
    log.warn(
      { pauseMs, processorMs, steps: steps.slice(0, mostSteps), ...more },
      `Landfall stood still for ${pauseMs} ms, ${processorMs} ms of it on the processor: ${whose}`,
    );
  }

  const interceptor: ActivityInterceptorsFactory = ({ info }) => ({
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
  });
  return {
    /** For the workers of this process: by it a pause knows what was under way. */
    interceptor,
    /** Begins to report pauses. Loading and bundling at the start may take long, and is not reported. */
    start(): void {
      let [at, usage] = [performance.now(), process.threadCpuUsage()];
      timer = setInterval(() => {
        const pauseMs = Math.round(performance.now() - at);
        const { user, system } = process.threadCpuUsage(usage);
        if (pauseMs > longestMs) report(pauseMs, Math.min(pauseMs, Math.round((user + system) / 1_000)));
        ended.clear();
        [at, usage] = [performance.now(), process.threadCpuUsage()];
      }, lookEveryMs).unref();
    },
    stop: () => clearInterval(timer),
  };
}

/** Steps get the plan of their service, or its name. */
function serviceOf(input: unknown): string | undefined {
  const named = memberOf(memberOf(input, 'plan'), 'service') ?? memberOf(input, 'service');
  return typeof named === 'string' ? named : undefined;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
