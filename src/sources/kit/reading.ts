import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { ProvenOrigin } from '../../domain/image-push.ts';
import { isDigest, isTag } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { repositoryIn, type WrittenImage } from './image.ts';
import type { ParsedRequest, PushedImage } from './source.ts';

/**
 * Senders leave fields out, empty them and null them from one version to the next. So a field of an unexpected type counts as absent;
 * what cannot be done without is asked for where it is needed.
 */
const text = z.string().optional().catch(undefined);

/** Fields that are text. */
export function texts<Name extends string>(...names: readonly Name[]): Record<Name, typeof text> {
  return Object.fromEntries(names.map((name) => [name, text])) as Record<Name, typeof text>;
}

export function part<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.object(shape).optional().catch(undefined);
}

/** An account at GitHub. */
export const account = part({ ...texts('login'), id: z.int().nonnegative().optional().catch(undefined) });

export function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(item).catch([]);
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws Problem 400 */
export function requireObject(body: unknown): object {
  if (isObject(body)) return body;
  throw malformed('Expected a JSON object.');
}

/** JSON inside a text of JSON; undefined if it is none. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The first of these headers that is there, once and not empty. Names in lower case. */
export function headerIn(headers: IncomingHttpHeaders, ...names: readonly string[]): string | undefined {
  return names.map((name) => headers[name]).find((value): value is string => typeof value === 'string' && value !== '');
}

/**
 * What a sender wrote, if it is one printable line. Names of people and commits go on into commit messages, pull requests and logs,
 * where line ends and invisible characters could pretend to be something else.
 */
export function printableLine(value: string | undefined, longest = 200): string | undefined {
  return value !== undefined && value.length <= longest && /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(value) ? value : undefined;
}

/** `owner/name` (at GitLab with groups between), or a URL without credentials; undefined for anything else. */
export function sourceRepositoryIn(text: string | undefined): string | undefined {
  const line = printableLine(text);
  if (line === undefined || /^[\w.-]+(?:\/[\w.-]+){1,8}$/.test(line)) return line;
  return /^[a-z][a-z0-9+.-]*:\/\/[^\s@]+$/i.test(line) && URL.canParse(line) ? line : undefined;
}

/** A git commit, SHA-1 or SHA-256, possibly shortened. */
export function commitHash(value: string | undefined): string | undefined {
  return value !== undefined && /^[0-9a-f]{7,64}$/i.test(value) ? value.toLowerCase() : undefined;
}

/** The sender's id of a delivery if it looks like one (a GUID), else a new one. */
export function deliveryIdOf(value?: string): string {
  return value !== undefined && looksLikeDeliveryId(value) ? value : randomUUID();
}

export function looksLikeDeliveryId(value: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);
}

interface WrittenEvent {
  readonly name: string | undefined;
  readonly action?: string | undefined;
  readonly id?: string | undefined;
}

/** What the sender calls the event and its action, as far as they are harmless in a log, and its id. */
export function eventNamed({ name, action, id }: WrittenEvent, longest = 60) {
  const event = printableLine(name, longest) ?? 'unknown';
  return { event, ...present({ action: printableLine(action, 40) }), deliveryId: deliveryIdOf(id) };
}

type FoundFields<Fields> = { readonly [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

/** The fields that are there. */
export function present<Fields extends object>(fields: Fields): FoundFields<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as FoundFields<Fields>;
}

/** What a sender says about a push, in its own words. */
export interface WrittenOrigin {
  readonly commit?: string | undefined;
  readonly sourceRepository?: string | undefined;
  readonly actor?: string | undefined;
}

/** What of it is of the form of what it should be. */
export function originIn({ commit, sourceRepository, actor }: WrittenOrigin): FoundFields<WrittenOrigin> {
  return present({
    commit: commitHash(commit),
    sourceRepository: sourceRepositoryIn(sourceRepository),
    actor: printableLine(actor, 100),
  });
}

/** What of an event that GitHub signed is GitHub's own word, and not that of whoever wrote a payload or a label of an image. */
export function signedBy(
  origin: FoundFields<WrittenOrigin>,
  sender: z.infer<typeof account>,
  ...fields: ProvenOrigin['fields']
): Pick<PushedImage, 'proven'> {
  const found = fields.filter((field) => origin[field] !== undefined);
  if (found.length === 0) return {};
  const who = { actorOf: 'github', ...(sender?.id !== undefined && { actorId: sender.id }) } as const;
  return { proven: { by: 'forge', fields: found, ...(found.includes('actor') && who) } };
}

/** A digest that is one. */
export function digestIn(digest: string | undefined): Pick<PushedImage, 'digest'> {
  return digest !== undefined && isDigest(digest) ? { digest } : {};
}

/** What one of the events of a request says. */
export type EventReading = { readonly image: PushedImage } | { readonly ignored: string } | { readonly malformed: string };

/** @param expected what the sender should have said in place of a name that is none: a sentence */
export function readImage({ name, tag, digest, ...origin }: WrittenImage & WrittenOrigin, expected: string): EventReading {
  // Without a tag, nothing can be started.
  if (tag === undefined || !isTag(tag)) return { ignored: 'no tag was pushed' };
  const repository = repositoryIn(name);
  if (repository === undefined) return { malformed: expected };
  return { image: { repository, tag, ...digestIn(digest), ...originIn(origin) } };
}

/** Adds to an image what else is known of its push; anything else stays as it is. */
export function withDetails(reading: EventReading, details: Partial<PushedImage>): EventReading {
  return 'image' in reading ? { image: { ...reading.image, ...details } } : reading;
}

/** The same with the event's own id, if it looks like one: a request may have several events. */
export function withOwnId(reading: EventReading, id: string | undefined): EventReading {
  return id !== undefined && looksLikeDeliveryId(id) ? withDetails(reading, { deliveryId: id }) : reading;
}

/** Far more than any sender puts together; each takes time in which no other request is answered. */
const mostAtOnce = 1000;

/** A list of a request, before any of its entries is looked at. @throws Problem 400 if it is longer than any sender's */
export function bounded<Entry>(entries: readonly Entry[], most = mostAtOnce): readonly Entry[] {
  if (entries.length > most) throw malformed(`Expected at most ${most} events in one request. Send them in several.`);
  return entries;
}

/**
 * All of one request: its images, or why there is none. One bad event among good ones costs no push.
 * @throws Problem 400 if none is an image, and one is not what the source sends
 */
export function parsedFrom(
  readings: readonly EventReading[],
  about: Pick<ParsedRequest, 'event' | 'action' | 'deliveryId'>,
): ParsedRequest {
  const images = readings.flatMap((reading) => ('image' in reading ? [reading.image] : []));
  if (images.length > 0) return { ...about, images };
  const wrong = readings.find((reading) => 'malformed' in reading);
  if (wrong !== undefined) throw malformed(wrong.malformed);
  const unwanted = readings.find((reading) => 'ignored' in reading);
  return { ...about, images, ignored: unwanted?.ignored ?? 'nothing was pushed' };
}
