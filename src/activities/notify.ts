import { Context } from '@temporalio/activity';
import type { Client, WorkflowSignalWithStartOptions } from '@temporalio/client';
import { type Telling, tellSignal } from '../contracts/messages.ts';
import { notifyId, taskQueues } from '../contracts/start-options.ts';
import type { Notice } from '../domain/notice.ts';
import type { RateLimited } from '../domain/outcomes.ts';
import type { NotifierPlan } from '../domain/plan.ts';
import { createSender, type NotifierDependencies } from '../notifiers/index.ts';
import { answering } from './boundary.ts';

export interface SendInput {
  readonly notifier: NotifierPlan;
  readonly notice: Notice;
  /** What an earlier notice of the same rollout to the same notifier answered. */
  readonly thread?: Thread;
}

/** By what a later notice finds the earlier message. JSON-safe, small. */
export type Thread = Readonly<Record<string, string>>;

export interface NotifyActivities {
  /** Hands a notice to `notify:ROLLOUT`, which is started where it does not run; called as a local activity. */
  tell(telling: Telling & { readonly rollout: string }): Promise<void>;
  /**
   * Sends one notice to one target. @returns the thread for later ones, where it is another than before
   * @throws ApplicationFailure `NoticeRefused` and the like, where the target will never take it
   */
  sendNotice(input: SendInput): Promise<{ readonly kind: 'sent'; readonly thread?: Thread } | RateLimited>;
}

export interface NotifyDependencies extends NotifierDependencies {
  readonly client: Client;
}

/** Below the time that rollouts give the call. */
const tellWithinMs = 5_000;

export function createNotify({ client, ...dependencies }: NotifyDependencies): NotifyActivities {
  const send = createSender(dependencies);
  return {
    async tell({ rollout, ...telling }) {
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
  telling: Telling,
): WorkflowSignalWithStartOptions<[Telling]> & { workflowId: string } {
  return {
    workflowId: notifyId(rollout),
    taskQueue: taskQueues.main,
    signal: tellSignal,
    signalArgs: [telling],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowIdConflictPolicy: 'USE_EXISTING',
    staticSummary: `what people are told of ${rollout}`,
  };
}
