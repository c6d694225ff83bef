import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { parseJson } from '../../http/json.ts';
import { Problem } from '../../http/problem.ts';
import { part, text } from '../kit/loose.ts';
import { bounded } from '../kit/readings.ts';
import type { AuthenticRequest } from '../kit/receiver.ts';

/** A CloudEvent, whichever way it came. */
export interface CloudEvent {
  readonly type: string;
  readonly source?: string | undefined;
  readonly subject?: string | undefined;
  readonly id?: string | undefined;
  /** An extension of Harbor's: who did it. */
  readonly operator?: string | undefined;
  readonly data?: unknown;
}

export type EnvelopeReading = { readonly event: CloudEvent } | { readonly malformed: string };

export const cloudEventMediaTypes = [
  'application/json',
  'application/cloudevents+json',
  'application/cloudevents-batch+json',
  // What CDEvents calls its data in binary mode.
  'application/cdevents+json',
];

const envelopeSchema = z.object({
  specversion: text,
  type: text,
  source: text,
  subject: text,
  id: text,
  operator: text,
  data: z.unknown().optional(),
  data_base64: text,
});

/**
 * The CloudEvents of a request: structured, in a batch, or binary. A CDEvent without an envelope counts as well: it has the same context.
 * @returns undefined if it is none
 * @throws Problem 400 if they are too many
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
 */
export function cloudEventsIn({
  headers,
  body,
}: Pick<AuthenticRequest, 'headers' | 'body'>): readonly EnvelopeReading[] | undefined {
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

/** The type that the context of a CDEvent has. */
export function typeOfCdEvent(data: unknown): string | undefined {
  return part({ context: part({ type: text }) }).parse(data)?.context?.type;
}

function isStructured(value: unknown): boolean {
  return part({ specversion: text }).parse(value)?.specversion !== undefined;
}

function readStructured(value: unknown): EnvelopeReading {
  const envelope = envelopeSchema.safeParse(value).data;
  if (!envelope?.specversion) return { malformed: 'Expected a CloudEvent with the attribute specversion.' };
  const { type, data_base64: encoded, specversion: _, ...event } = envelope;
  if (!type) return { malformed: 'Expected a CloudEvent with the attribute type.' };
  if (event.data !== undefined || encoded === undefined) return { event: { ...event, type } };
  const data = decoded(encoded);
  return data === undefined ? { malformed: 'Expected JSON in data_base64.' } : { event: { ...event, type, data } };
}

function decoded(encoded: string): unknown {
  try {
    return parseJson(Buffer.from(encoded, 'base64'));
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

function readBinary(headers: IncomingHttpHeaders, data: unknown): EnvelopeReading {
  const of = (name: string) => attribute(headers, name);
  const type = of('type');
  if (type === undefined) return { malformed: 'Expected the header ce-type with the type of the CloudEvent.' };
  return {
    event: { type, source: of('source'), subject: of('subject'), id: of('id'), operator: of('operator'), data },
  };
}

/** Headers carry what is not plain ASCII percent-encoded. */
function attribute(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[`ce-${name}`];
  if (typeof value !== 'string' || value === '') return undefined;
  try {
    return decodeURIComponent(value);
  } catch (error) {
    if (error instanceof URIError) return value;
    throw error;
  }
}
