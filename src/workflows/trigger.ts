import { patched } from '@temporalio/workflow';
import { nameOfPerson, type Person, typedName } from '../domain/person.ts';
import { recordDecision } from './audit.ts';
import { provenTriggerer, type TriggerSubject } from './operator-decision.ts';

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
