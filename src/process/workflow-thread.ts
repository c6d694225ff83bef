import { Worker } from '@temporalio/worker';

type StartThread = (typeof Worker)['createWorkflowCreator'];
type ReadWorkflows = (typeof Worker)['getOrCreateBundle'];
type WorkflowThread = Awaited<ReturnType<StartThread>>;

/**
 * Temporal's Worker, but for that all workers made with it run the same workflows in one thread, which ends with the last of them. Temporal
 * gives each worker a thread with libraries and a bundle of its own: 40 MB and 0.2 s of processor time.
 */
export function sharedThreadWorker(): typeof Worker {
  let bundle: ReturnType<ReadWorkflows> | undefined;
  let thread: Promise<WorkflowThread> | undefined;
  let users = 0;

  return class SharedThreadWorker extends Worker {
    protected static override getOrCreateBundle(...from: Parameters<ReadWorkflows>): ReturnType<ReadWorkflows> {
      // Those without workflows have none.
      if (from[0].workflowBundle === undefined) return Worker.getOrCreateBundle(...from);
      bundle ??= Worker.getOrCreateBundle(...from);
      return bundle;
    }

    protected static override async createWorkflowCreator(...of: Parameters<StartThread>): Promise<WorkflowThread> {
      users += 1;
      thread ??= Worker.createWorkflowCreator(...of);
      const shared = await thread;
      // The text, which takes 5 MB here as well, has been handed over.
      bundle = undefined;
      return {
        createWorkflow: (options) => shared.createWorkflow(options),
        async destroy() {
          users -= 1;
          if (users === 0) await shared.destroy();
        },
      };
    }
  };
}
