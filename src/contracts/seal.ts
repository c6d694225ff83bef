import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import { isUnsealed, type UnsealedValue } from './sealed.ts';
import { redeliverId, searchId } from './start-options.ts';

/**
 * The seal: whoever reaches Temporal can hand anything to workers, so they believe only what was made by somebody with the key that every
 * process of one Landfall has. Each payload gets an HMAC over its data, over what it is for, and over the workflow that it belongs to; the
 * data stays as it is, for people to read. See docs/decisions/0033-the-seal.md.
 */
export interface Sealing {
  /** The first one seals; each of them is believed, so that a key can be changed without a gap. */
  readonly keys: readonly [string, ...string[]];
  /** What was made before is believed: it is of a Landfall that sealed nothing, or had a key that is gone. */
  readonly since?: Date;
}

/** What Temporal answered is not from a process with the key. */
export class NotSealed extends Error {
  constructor(what: string, reason: string) {
    super(`${what} is not sealed with Landfall's key: ${reason}`);
    this.name = 'NotSealed';
  }
}

/** @throws NotSealed if it is not from a process with the key */
export function believed<Answer>(what: string, answer: Answer): Answer {
  if (isUnsealed(answer)) throw new NotSealed(what, answer.landfall.unsealed);
  return answer;
}

/** A key, and the name by which a seal says which one it is of. */
interface SealKey {
  readonly id: string;
  readonly key: KeyObject;
}

type Metadata = Record<string, Uint8Array>;

const sealName = 'landfall-seal';
const termsName = 'landfall-for';
const json = Buffer.from('json/plain');
const nothing = Buffer.from('binary/null');

/**
 * @param side what a value was sealed for is told to workers, whose interceptors ask for it; clients get the value alone
 */
export function createSealCodec(namespace: string, { keys, since }: Sealing, side: 'client' | 'worker'): PayloadCodec {
  const [first, ...others] = keys.map(sealKey);
  if (first === undefined) throw new TypeError('expected at least one key to seal with');
  const known = new Map([first, ...others].map((each) => [each.id, each]));
  const sinceMs = side === 'worker' ? since?.getTime() : undefined;
  const open = (payload: Payload, scope: string): Payload => {
    const { [sealName]: seal, ...metadata } = payload.metadata ?? {};
    const problem =
      seal === undefined ? { unsealed: 'it has no seal' } : problemOf(seal, known, scope, metadata, dataOf(payload));
    if (problem !== undefined) return unsealed(payload, { ...problem, ...(sinceMs !== undefined && { since: sinceMs }) });
    const { [termsName]: terms, ...rest } = metadata;
    const opened = { metadata: rest, data: dataOf(payload) };
    return terms === undefined || side === 'client' ? opened : joinTerms(terms, opened);
  };
  return {
    async encode(payloads, context) {
      const scope = scopeOf(namespace, context);
      return payloads.map((payload) => {
        const { metadata, data } = splitTerms(payload);
        const mac = macOf(first, scope, metadata, data).toString('base64url');
        return { metadata: { ...metadata, [sealName]: Buffer.from(`${first.id}.${mac}`) }, data };
      });
    },
    async decode(payloads, context) {
      const scope = scopeOf(namespace, context);
      return payloads.map((payload) => open(payload, scope));
    },
  };
}

function sealKey(text: string): SealKey {
  const key = createSecretKey(Buffer.from(text));
  return { key, id: createHmac('sha256', key).update('the name of this key').digest('hex').slice(0, 8) };
}

/** What schedules start has the time after its id, and gets on with what another run of its schedule left. */
const scheduledTime = /-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** A seal holds in one workflow, and there in one activity: copied into another one, it proves nothing. */
function scopeOf(namespace: string, context: SerializationContext | undefined): string {
  const workflow = context?.workflowId ?? '';
  const isScheduled = workflow.startsWith(searchId('')) || workflow.startsWith(`${redeliverId}-`);
  const activity = context?.type === 'activity' ? (context.activityId ?? '') : undefined;
  return JSON.stringify([namespace, isScheduled ? workflow.replace(scheduledTime, '') : workflow, activity ?? null]);
}

/** Over all metadata: nothing that changes how the data is read can be added. */
function macOf({ key }: SealKey, scope: string, metadata: Metadata, data: Uint8Array): Buffer {
  const names = Object.keys(metadata).sort();
  const described = names.map((name) => [name, Buffer.from(metadata[name] ?? nothing).toString('base64')]);
  return createHmac('sha256', key)
    .update(`${JSON.stringify([scope, described])}\n`)
    .update(data)
    .digest();
}

function problemOf(
  seal: Uint8Array,
  known: ReadonlyMap<string, SealKey>,
  scope: string,
  metadata: Metadata,
  data: Uint8Array,
): { readonly unsealed: string; readonly otherKey?: boolean } | undefined {
  const [id = '', mac = ''] = Buffer.from(seal).toString().split('.');
  const key = known.get(id);
  if (key === undefined) {
    const name = /^[0-9a-f]{8}$/.test(id) ? id : '?';
    return { unsealed: `its seal is of another key (${name}; known here: ${[...known.keys()].join(', ')})`, otherKey: true };
  }
  const [given, expected] = [Buffer.from(mac, 'base64url'), macOf(key, scope, metadata, data)];
  if (given.length === expected.length && timingSafeEqual(given, expected)) return undefined;
  return { unsealed: 'its seal does not fit: it was made for another workflow or activity, or the data was changed' };
}

/** The value is kept only where it may be believed by its age: a workflow knows when it came. */
function unsealed(payload: Payload, problem: UnsealedValue['landfall']): Payload {
  const isJson = problem.since !== undefined && json.equals(payload.metadata?.encoding ?? nothing);
  const terms = Buffer.from(JSON.stringify(problem));
  return joinTerms(terms, { metadata: { encoding: isJson ? json : nothing }, data: dataOf(payload) });
}

/** Where there is none, Temporal's SDK has nothing, or a list without anything in it. */
function dataOf({ data }: Payload): Buffer {
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data ?? []);
}

/*
 * `{"landfall":{…},"value":…}`, as `JSON.stringify` writes a `SealedValue`. What separates terms and value cannot be within the terms: there,
 * a quotation mark within a text has a backslash before it.
 */
const before = Buffer.from('{"landfall":');
const between = Buffer.from(',"value":');
const after = Buffer.from('}');

/** Takes the terms out of a value, for its metadata. A value that has none is sealed for its workflow or activity alone. */
function splitTerms(payload: Payload): { readonly metadata: Metadata; readonly data: Uint8Array } {
  const { [sealName]: _seal, [termsName]: _terms, ...metadata } = payload.metadata ?? {};
  const data = dataOf(payload);
  if (!json.equals(metadata.encoding ?? nothing) || !data.subarray(0, before.length).equals(before)) return { metadata, data };
  const end = data.indexOf(between);
  const inside = data.subarray(before.length, end < 0 ? data.length - after.length : end);
  const value = end < 0 ? new Uint8Array() : data.subarray(end + between.length, data.length - after.length);
  return { metadata: { ...metadata, encoding: end < 0 ? nothing : json, [termsName]: inside }, data: value };
}

/** Puts them before the value again. A value of no bytes was undefined. */
function joinTerms(terms: Uint8Array, { metadata, data }: { readonly metadata: Metadata; readonly data: Uint8Array }): Payload {
  const hasValue = json.equals(metadata.encoding ?? nothing);
  return { metadata: { ...metadata, encoding: json }, data: joined(before, terms, ...(hasValue ? [between, data] : []), after) };
}

/** Buffers of Node's pool would take the whole pool along to the thread of a workflow. */
function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
