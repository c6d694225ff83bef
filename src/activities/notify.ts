import { Context } from '@temporalio/activity';
import type { Client, WorkflowSignalWithStartOptions } from '@temporalio/client';
import type { NotifyActivities, SendInput } from '../contracts/activities/people.ts';
import { type NoticeRequest, noticeSignal } from '../contracts/messages.ts';
import { notifyId, taskQueues } from '../contracts/start-options.ts';
import type { Notifier } from '../notifiers/notifier.ts';
import { answering } from './boundary.ts';

export interface NotifyDependencies {
  readonly client: Client;
  /** By kind. */
  readonly notifiers: ReadonlyMap<string, Notifier>;
}

/** Below the time that rollouts give the call. */
const tellWithinMs = 5_000;

export function createNotify({ client, notifiers }: NotifyDependencies): NotifyActivities {
  return {
    async queueNotice({ rollout, ...telling }) {
      await client.withDeadline(Date.now() + tellWithinMs, () =>
        client.workflow.signalWithStart('notify', notifyStartOptions(rollout, telling)),
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

function notifyStartOptions(
  rollout: string,
  telling: NoticeRequest,
): WorkflowSignalWithStartOptions<[NoticeRequest]> & { workflowId: string } {
  return {
    workflowId: notifyId(rollout),
    taskQueue: taskQueues.main,
    signal: noticeSignal,
    signalArgs: [telling],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowIdConflictPolicy: 'USE_EXISTING',
    staticSummary: `what people are told of ${rollout}`,
  };
}
