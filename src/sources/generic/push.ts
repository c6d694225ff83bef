import { isDigest, isTag, type Tag } from '../../domain/image-reference.ts';
import { malformed, Problem } from '../../http/problem.ts';
import type { ParsedRequest, PushedImage } from '../kit/receiver.ts';
import { referenceIn, type WrittenReference } from '../kit/reference-text.ts';
import { commitHash, looksLikeDeliveryId, printableLine, sourceRepositoryIn } from '../kit/sender-text.ts';
import { type JsonPointer, parseJsonPointer, valueAt } from './json-pointer.ts';
import type { Conditions, GenericSender } from './settings.ts';

/** How a sender's JSON is read, by the pointers of the configuration. */

const mostItems = 100;

type ReadImages = Pick<ParsedRequest, 'images' | 'ignored'>;

/**
 * @param name of the sender; ids of deliveries are its own, so they stand behind it
 * @returns a function that throws Problem 400 if nothing can be read: of several items, one that can be read is enough
 */
export function createReadPushes({ when = {}, push }: Pick<GenericSender, 'when' | 'push'>, name: string) {
  const { list } = push;
  return (body: unknown): ReadImages => {
    const unwanted = whyNot(body, when);
    if (unwanted !== undefined) return { images: [], ignored: unwanted };
    if (list === undefined) return readItem(body, push, name);
    const items = valueAt(body, pointerOf(list));
    if (!Array.isArray(items) || items.length > mostItems) throw malformed(`Expected at ${list} a list of at most ${mostItems}.`);
    return joined(items.map((item: unknown) => readOrProblem(item, push, name)));
  };
}

function joined(read: readonly (ReadImages | Problem)[]): ReadImages {
  const readable = read.flatMap((each) => (each instanceof Problem ? [] : [each]));
  const images = readable.flatMap((each) => each.images);
  if (images.length > 0) return { images };
  const ignored = readable.find((each) => each.ignored !== undefined)?.ignored;
  const problem = read.find((each) => each instanceof Problem);
  if (ignored === undefined && problem !== undefined) throw problem;
  return { images, ignored: ignored ?? 'the list is empty' };
}

function readOrProblem(item: unknown, push: GenericSender['push'], name: string): ReadImages | Problem {
  try {
    return readItem(item, push, name);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

function readItem(item: unknown, push: GenericSender['push'], name: string): ReadImages {
  const unwanted = whyNot(item, push.when ?? {});
  if (unwanted !== undefined) return { images: [], ignored: unwanted };
  const reference = imageOf(item, push);
  const { repository } = reference;
  const about = { repository, ...digestOf(item, push, reference), ...originOf(item, push), ...deliveryOf(item, push, name) };
  // A sender that never names a tag says that something was pushed; one that leaves it out has pushed none.
  if (push.tag === undefined && reference.tag === undefined) {
    const { digest: _ofNoTag, ...untagged } = about;
    return { images: [untagged] };
  }
  const tags = push.tag === undefined ? tagsAmong([reference.tag]) : tagsAt(item, push.tag);
  return tags.length === 0 ? { images: [], ignored: 'no tag was pushed' } : { images: tags.map((tag) => ({ ...about, tag })) };
}

/** The first condition that does not hold, in words. */
function whyNot(value: unknown, conditions: Conditions): string | undefined {
  const failed = Object.entries(conditions).find(([at, values]) => {
    const found = valueAt(value, pointerOf(at)) ?? null;
    return !values.some((expected) => expected === found);
  });
  return failed && `expected at ${failed[0]} ${failed[1].slice(0, 5).map(String).join(' or ')}`;
}

function imageOf(item: unknown, { repository: at, registry }: GenericSender['push']): WrittenReference {
  const pointer = parseJsonPointer(at);
  const written = pointer === undefined ? at : valueAt(item, pointer);
  const reference = typeof written === 'string' ? referenceIn(withRegistry(written, registry)) : undefined;
  if (reference !== undefined) return reference;
  const advice =
    registry === undefined ? 'its registry (or set push.registry), such as ghcr.io/team/app' : 'or without its registry';
  throw malformed(`Expected at ${at} the repository of an image, with ${advice}.`);
}

function withRegistry(written: string, registry: string | undefined): string {
  if (registry === undefined) return written;
  const bare = written.trim().replace(/^(?:[a-z]+:)?\/+/i, '');
  return bare.toLowerCase().startsWith(`${registry}/`) ? bare : `${registry}/${bare}`;
}

function tagsAt(item: unknown, at: string): readonly Tag[] {
  const found = valueAt(item, pointerOf(at)) ?? [];
  const listed: readonly unknown[] = Array.isArray(found) ? found : [found];
  if (listed.length > mostItems || listed.some((tag) => typeof tag !== 'string')) {
    throw malformed(`Expected at ${at} a tag as text, or a list of at most ${mostItems} tags.`);
  }
  return tagsAmong(listed);
}

function tagsAmong(values: readonly unknown[]): readonly Tag[] {
  return [...new Set(values.filter((tag): tag is Tag => typeof tag === 'string' && isTag(tag)))];
}

function digestOf(
  item: unknown,
  { digest: at }: GenericSender['push'],
  reference: WrittenReference,
): Pick<PushedImage, 'digest'> {
  const digest = textAt(item, at) ?? reference.digest;
  return digest !== undefined && isDigest(digest) ? { digest } : {};
}

function originOf(item: unknown, push: GenericSender['push']): Pick<PushedImage, 'commit' | 'sourceRepository' | 'actor'> {
  const commit = commitHash(textAt(item, push.commit));
  const sourceRepository = sourceRepositoryIn(textAt(item, push.sourceRepository));
  const actor = printableLine(textAt(item, push.actor), 100);
  return {
    ...(commit !== undefined && { commit }),
    ...(sourceRepository !== undefined && { sourceRepository }),
    ...(actor !== undefined && { actor }),
  };
}

/** Two senders may both count from one. */
function deliveryOf(item: unknown, { delivery: at }: GenericSender['push'], name: string): Pick<PushedImage, 'deliveryId'> {
  const found = at === undefined ? undefined : valueAt(item, pointerOf(at));
  const id = Number.isSafeInteger(found) ? String(found) : found;
  if (typeof id !== 'string' || !/^[\w.:-]{1,100}$/.test(id)) return {};
  return { deliveryId: looksLikeDeliveryId(id) ? id : `${name}:${id}` };
}

function textAt(item: unknown, at: string | undefined): string | undefined {
  const found = at === undefined ? undefined : valueAt(item, pointerOf(at));
  return typeof found === 'string' ? found : undefined;
}

/** The schema has checked them already. */
function pointerOf(text: string): JsonPointer {
  const pointer = parseJsonPointer(text);
  if (pointer === undefined) throw new Error(`expected a JSON pointer, found ${text}`);
  return pointer;
}
