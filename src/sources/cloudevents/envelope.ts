import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { parseJson } from '../../http/body.ts';
import { Problem } from '../../http/problem.ts';
import { bounded, type EventReading, eventNamed, headerIn, parsedFrom, part, texts } from '../kit/reading.ts';
import type { AuthenticRequest, ParsedRequest } from '../kit/source.ts';

/** `operator` is an extension of Harbor's: who did it. */
const eventSchema = z.object({ ...texts('source', 'subject', 'id', 'operator'), data: z.unknown().optional() });
const envelopeSchema = eventSchema.extend(texts('specversion', 'type', 'data_base64'));

/** A CloudEvent, whichever way it came. */
export type CloudEvent = z.infer<typeof eventSchema> & { readonly type: string };

type EnvelopeReading = { readonly event: CloudEvent } | { readonly malformed: string };

export const cloudEventMediaTypes = [
  'application/json',
  'application/cloudevents+json',
  'application/cloudevents-batch+json',
  // What CDEvents calls its data in binary mode.
  'application/cdevents+json',
];

/**
 * The CloudEvents of a request: structured, in a batch, or binary. A CDEvent without an envelope counts as well: it has the same context.
 * @returns undefined if it is none
 * @throws Problem 400 if they are too many
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
 */
export function cloudEventsIn({ headers, body }: AuthenticRequest): readonly EnvelopeReading[] | undefined {
  const media = (headers['content-type'] ?? '').toLowerCase();
  if (Array.isArray(body)) {
    const values = bounded<unknown>(body);
    const isBatch = media.startsWith('application/cloudevents-batch') || values.some(isStructured);
    return isBatch ? values.map(readStructured) : undefined;
  }
  // What a body says of itself goes before headers that a proxy may have added.
  if (media.startsWith('application/cloudevents') || isStructured(body)) return [readStructured(body)];
  if (attribute(headers, 'specversion') !== undefined || attribute(headers, 'type') !== undefined)
    return [readBinary(headers, body)];
  const type = typeOfCdEvent(body);
  return type === undefined ? undefined : [{ event: { type, data: body } }];
}

/** What the CloudEvents of a request say. @throws Problem 400, as `parsedFrom` */
export function parsedEnvelopes(
  envelopes: readonly EnvelopeReading[],
  read: (event: CloudEvent) => readonly EventReading[],
): ParsedRequest {
  const readings = envelopes.flatMap((envelope) => ('event' in envelope ? read(envelope.event) : [envelope]));
  const first = envelopes.find((envelope) => 'event' in envelope)?.event;
  return parsedFrom(readings, eventNamed({ name: first?.type, id: first?.id }, 100));
}

/** The type that the context of a CDEvent has. */
export function typeOfCdEvent(data: unknown): string | undefined {
  return part({ context: part(texts('type')) }).parse(data)?.context?.type;
}

function isStructured(value: unknown): boolean {
  return part(texts('specversion')).parse(value)?.specversion !== undefined;
}

function readStructured(value: unknown): EnvelopeReading {
  const envelope = envelopeSchema.safeParse(value).data;
  if (!envelope?.specversion) return { malformed: 'Expected a CloudEvent with the attribute specversion.' };
  const { type, data_base64: encoded, specversion: _, ...event } = envelope;
  if (!type) return { malformed: 'Expected a CloudEvent with the attribute type.' };
  if (event.data !== undefined || encoded === undefined) return { event: { ...event, type } };
  try {
    return { event: { ...event, type, data: parseJson(Buffer.from(encoded, 'base64')) } };
  } catch (error) {
    if (error instanceof Problem) return { malformed: 'Expected JSON in data_base64.' };
    throw error;
  }
}

function readBinary(headers: IncomingHttpHeaders, data: unknown): EnvelopeReading {
  const of = (name: string) => attribute(headers, name);
  const type = of('type');
  if (type === undefined) return { malformed: 'Expected the header ce-type with the type of the CloudEvent.' };
  return { event: { type, source: of('source'), subject: of('subject'), id: of('id'), operator: of('operator'), data } };
}

/** Headers carry what is not plain ASCII percent-encoded. */
function attribute(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headerIn(headers, `ce-${name}`);
  try {
    return value && decodeURIComponent(value);
  } catch (error) {
    if (error instanceof URIError) return value;
    throw error;
  }
}
