import { z } from 'zod';
import { readHarborData } from '../harbor/event.ts';
import { listOf, part, text } from '../kit/loose.ts';
import { type EventReading, type PushDetails, withDetails } from '../kit/readings.ts';
import { commitHash, printableLine } from '../kit/sender-text.ts';
import { type CloudEvent, typeOfCdEvent } from './envelope.ts';
import { readPurl } from './purl.ts';

/** `cd.` is what drafts before version 0.1 began with. */
const anyType = /^(?:dev\.cdevents|cd)\./i;
/** After the name comes the version of the event's schema. */
const published = /^(?:dev\.cdevents|cd)\.artifact\.published(?:\.|$)/i;

const dataSchema = part({
  subject: part({ id: text, content: part({ change: part({ id: text }), user: text }) }),
  customData: part({ resources: listOf(z.unknown()) }),
});

export function isCdEvent({ type, data }: CloudEvent): boolean {
  return anyType.test(typeOfCdEvent(data) ?? type);
}

/**
 * What a CDEvent says of an artifact that was published: its package URL is the id of the subject. Harbor names further resources of the
 * same push in `customData`.
 * @see https://github.com/cdevents/spec/blob/main/continuous-integration.md#artifact-published
 */
export function readCdEvent({ type, subject: envelopeSubject, data }: CloudEvent): readonly EventReading[] {
  if (!published.test(typeOfCdEvent(data) ?? type)) return [{ ignored: 'expected the event artifact.published' }];
  const { subject, customData } = dataSchema.parse(data) ?? {};
  const details = detailsOf(subject?.content);
  const resources = readHarborData(customData).filter((reading) => 'image' in reading);
  const readings = resources.length > 0 ? resources : [readPurl(subject?.id ?? envelopeSubject)];
  return readings.map((reading) => withDetails(reading, details));
}

function detailsOf(
  content: { change?: { id?: string | undefined } | undefined; user?: string | undefined } | undefined,
): PushDetails {
  const commit = commitHash(content?.change?.id);
  const actor = printableLine(content?.user, 100);
  return { ...(commit !== undefined && { commit }), ...(actor !== undefined && { actor }) };
}
