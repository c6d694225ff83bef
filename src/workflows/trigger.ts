import { isCancellation, log, patched, workflowInfo } from '@temporalio/workflow';
import { provenTrigger } from '../domain/decision-proof.ts';
import type { ImagePush } from '../domain/image-push.ts';
import type { Digest } from '../domain/image-reference.ts';
import { nameOfPerson, type Person, typedName } from '../domain/person.ts';
import { recordDecision } from './audit.ts';
import { whoDecided } from './operator-decision.ts';

/** What an operator asked for by hand. */
interface TriggerSubject {
  readonly service: string;
  readonly push: ImagePush;
  /** Where it was named. */
  readonly digest?: Digest | undefined;
}

/** Before, who had triggered something was asked only where it may matter for an approval. */
const triggersAreRecorded = 'triggers are recorded';

/** One line for the record, whoever asked, and by whichever way. Nothing for a push that came by itself. */
export async function recordTrigger(trigger: TriggerSubject): Promise<void> {
  const { service, push, digest } = trigger;
  if (push.source !== 'operator' || push.trigger === undefined) return;
  const isAsked = push.trigger.proof !== undefined && patched(triggersAreRecorded);
  const claimed: Person = { by: typedName(push.trigger.by), verified: false };
  const by = nameOfPerson((isAsked && (await provenTriggerer(trigger))) || claimed);
  const { repository, tag } = push;
  recordDecision('trigger', { by }, { service, repository, tag, ...(digest !== undefined && { digest }) });
}

/** Who shows to have triggered it, for the worker that knows the operators. @returns undefined where it stays a claim */
export async function provenTriggerer({ service, push, digest }: TriggerSubject): Promise<Person | undefined> {
  const { by = '', proof = '', login } = push.trigger ?? {};
  const decision = { by, proof, ...(login !== undefined && { login }), ...(digest !== undefined && { digest }) };
  try {
    return await whoDecided({ ...provenTrigger(service, push), decision });
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('who triggered this is not proven', { workflow: workflowInfo().workflowId, by, error });
    return undefined;
  }
}
