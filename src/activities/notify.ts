import { Context } from '@temporalio/activity';
import type { NotifyActivities, SendInput } from '../contracts/activities/people.ts';
import { noticeSignal } from '../contracts/messages.ts';
import { notifyId, taskQueues } from '../contracts/start-options.ts';
import { answering } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';

/** Below the time that rollouts give the call. */
const queueWithinMs = 5_000;

export function createNotify({ client, notifiers }: Pick<Dependencies, 'client' | 'notifiers'>): NotifyActivities {
  return {
    async queueNotice({ rollout, ...request }) {
      await client.withDeadline(Date.now() + queueWithinMs, () =>
        client.workflow.signalWithStart('notify', {
          workflowId: notifyId(rollout),
          taskQueue: taskQueues.main,
          signal: noticeSignal,
          signalArgs: [request],
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
          workflowIdConflictPolicy: 'USE_EXISTING',
          staticSummary: `what people are told of ${rollout}`,
        }),
      );
    },
    sendNotice: answering(async ({ notifier: { kind, settings: target }, ...input }: SendInput) => {
      const { cancellationSignal: signal, log } = Context.current();
      const notifier = notifiers.get(kind);
      if (notifier === undefined) throw new Error(`this worker knows no notifier ${kind}: start one that does`);
      const thread = await notifier.send({ ...input, target, signal, warn: (message) => log.warn(message) });
      return { kind: 'sent' as const, ...(thread !== undefined && { thread }) };
    }),
  };
}
