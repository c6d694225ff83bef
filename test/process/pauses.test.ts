import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { watchPauses } from '../../src/process/pauses.ts';
import { startLogging } from '../support/logging-child.ts';
import { eventually } from '../support/wait.ts';

interface PauseLine {
  readonly pauseMs: number;
  readonly processorMs: number;
  readonly steps: readonly object[];
  readonly msg: string;
}

describe('a pause of the process', function () {
  this.timeout(30_000);

  it('is told of with how long it was, and with the steps that were under way', async () => {
    const lines: (Omit<PauseLine, 'msg'> & { readonly message: string })[] = [];
    const pauses = watchPauses({ warn: (fields, message) => lines.push({ ...(fields as PauseLine), message }) });
    const workflowExecution = { workflowId: 'rollout:web:latest:abc', runId: 'run-1' };
    const environment = (activityType: string) =>
      new MockActivityEnvironment({ activityType, workflowExecution }, { interceptors: [pauses.interceptor] });
    const over = new AbortController();
    pauses.start();
    try {
      const watching = environment('watchStage').run(async () => void (await once(over.signal, 'abort')), {
        plan: { service: 'web' },
      });
      await environment('scan').run(async () => standStill(400), { service: 'other' });
      const line = await eventually('the line', async () => lines.find(({ steps }) => steps.length === 2));
      over.abort();
      await watching;
      const { workflowId: workflow } = workflowExecution;
      assert.deepEqual(line.steps, [
        { step: 'watchStage', service: 'web', workflow },
        { step: 'scan', service: 'other', workflow },
      ]);
      assert.ok(line.pauseMs >= 400, `${line.pauseMs} ms`);
      assert.match(line.message, /^Landfall stood still for \d+ ms, \d+ ms of it on the processor: /);
    } finally {
      pauses.stop();
    }
  });

  it("is said to be Landfall's where it was at work, and the machine's where it was not let", async () => {
    const stand = 'while (process.cpuUsage(begun).user + process.cpuUsage(begun).system < 600_000) Math.sqrt(2);';
    const child = await startLogging(
      "import { watchPauses } from 'src/process/pauses.ts';",
      `watchPauses(logging.log).start();
      process.on('SIGUSR2', () => { const begun = process.cpuUsage(); ${stand} });
      setInterval(() => undefined, 1_000);`,
    );
    const paused = (whose: (line: PauseLine) => boolean): Promise<PauseLine> =>
      eventually('the line of the pause', async () =>
        child.lines<PauseLine>().find((line) => line.pauseMs >= 600 && whose(line)),
      );
    try {
      child.signal('SIGSTOP');
      await pause(700);
      child.signal('SIGCONT');
      assert.match((await paused(({ processorMs }) => processorMs <= 200)).msg, /the machine let it wait/);
      child.signal('SIGUSR2');
      assert.match((await paused(({ processorMs }) => processorMs >= 500)).msg, /something in it took too long/);
    } finally {
      await child.kill();
    }
  });
});

function standStill(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until) Math.sqrt(2);
}
