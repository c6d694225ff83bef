import { Context } from '@temporalio/activity';
import type { Client, WorkflowSignalWithStartOptions } from '@temporalio/client';
import type { NotifyActivities, SendInput } from '../contracts/activities/people.ts';
import { type NoticeRequest, noticeSignal } from '../contracts/messages.ts';
import { notifyId, taskQueues } from '../contracts/start-options.ts';
import { createSender, type NotifierDependencies } from '../notifiers/index.ts';
import { answering } from './boundary.ts';

export interface NotifyDependencies extends NotifierDependencies {
  readonly client: Client;
}

/** Below the time that rollouts give the call. */
const tellWithinMs = 5_000;

export function createNotify({ client, ...dependencies }: NotifyDependencies): NotifyActivities {
  const send = createSender(dependencies);
  return {
    async queueNotice({ rollout, ...telling }) {
      await client.withDeadline(Date.now() + tellWithinMs, () =>
        client.workflow.signalWithStart('notify', notifyStartOptions(rollout, telling)),
      );
    },
    sendNotice: answering(async (input: SendInput) => {
      const { cancellationSignal: signal, log } = Context.current();
      const thread = await send({ ...input, signal, warn: (message) => log.warn(message) });
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
