import { memberOf } from './json.ts';

/** Where something stands in a trace: what W3C's `traceparent` says, https://www.w3.org/TR/trace-context/. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** Whether spans of the trace are sent: decided where it begins, and for all of it. */
  readonly sampled: boolean;
}

export type SpanAttributes = Readonly<Record<string, string | number>>;

/** Something that was done, and how it ended. Plain data: workflows hand it to their worker. */
export interface TraceSpan {
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'producer';
  readonly context: TraceContext;
  /** Absent: the trace begins with it. */
  readonly parentId?: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: SpanAttributes;
  /** Absent: it did not fail. */
  readonly error?: SpanError;
  /** Traces of others that this one has to do with. */
  readonly links?: readonly TraceContext[];
}

export interface SpanError {
  readonly type: string;
  readonly message?: string;
}

const traceparent = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-.*)?$/;

/** @returns undefined for anything that is no `traceparent` */
export function parseTraceparent(text: unknown): TraceContext | undefined {
  if (typeof text !== 'string' || text.length > 200) return undefined;
  const [, traceId, spanId, flags = ''] = traceparent.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/**
 * The id of a span by what it is about: the same in a replay, and in another process. It has to be unlike others of one trace and no more, so
 * it is a short hash that workflows can compute, two of 32 bits (FNV-1a, from two beginnings, mixed as MurmurHash3 does).
 */
export function spanIdOf(...parts: readonly (string | number)[]): string {
  const text = parts.join('\n');
  const id = hashOf(text, 0x811c9dc5) + hashOf(text, 0x9e3779b9);
  return /[1-9a-f]/.test(id) ? id : id.replace(/.$/, '1');
}

function hashOf(text: string, seed: number): string {
  let hash = seed;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0).toString(16).padStart(8, '0');
}

/** What a step, an activity or a workflow is about, as far as its input says: service, image, digest and stage. */
export function subjectOf(input: unknown): SpanAttributes {
  const at = (...names: readonly string[]) => textAt(input, names);
  const repository = at('image', 'repository') ?? at('push', 'repository');
  const tag = at('image', 'tag') ?? at('push', 'tag');
  return withoutAbsent({
    'landfall.service': at('plan', 'service') ?? at('service') ?? at('request', 'plan', 'service') ?? at('subject', 'name'),
    'landfall.image': repository === undefined ? undefined : `${repository}${tag === undefined ? '' : `:${tag}`}`,
    'landfall.digest': at('image', 'digest') ?? at('push', 'digest'),
    'landfall.stage': at('stage', 'name') ?? at('stage') ?? at('request', 'stage'),
  });
}

/** How it ended, where its answer has a word for that. */
export function outcomeOf(answer: unknown): SpanAttributes {
  return withoutAbsent({ 'landfall.outcome': textAt(answer, ['kind']) ?? textAt(answer, ['status']) });
}

export function withoutAbsent(attributes: Readonly<Record<string, string | number | undefined>>): SpanAttributes {
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, string | number] => entry[1] !== undefined),
  );
}

function textAt(value: unknown, names: readonly string[]): string | undefined {
  const found = names.reduce<unknown>(memberOf, value);
  return typeof found === 'string' ? found : undefined;
}
