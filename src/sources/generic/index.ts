import { randomUUID } from 'node:crypto';
import { isTag, registryOf, type Tag } from '../../domain/image-reference.ts';
import { malformed, Problem } from '../../http/problem.ts';
import { allowedImages, ofAny, ofHosts } from '../kit/allowed-images.ts';
import { byBearer, byHeader, bySignature, fromNetworks } from '../kit/authentication.ts';
import { commitsOf } from '../kit/commits.ts';
import { referenceIn, type WrittenReference } from '../kit/image.ts';
import { digestIn, looksLikeDeliveryId, originIn } from '../kit/reading.ts';
import { type ReadSecrets, signedTimeOf } from '../kit/settings.ts';
import { defineSource, type OwnReceiver, type ParsedRequest, type PushedImage, type Receiver } from '../kit/source.ts';
import { type Conditions, type GenericSender, genericSettings, parseJsonPointer, valueAt } from './settings.ts';

/** Whatever sends JSON and is no source of its own: each sender has a name, a path, and pointers to where its pushes are. */
export const genericSource = defineSource({
  name: 'generic',
  settings: genericSettings,
  allowedImages: (senders) =>
    Object.entries(senders).map(([name, { images, push }]) => ({
      path: [name],
      allowed: allowedImages(images, registryOfSender(push)),
    })),
  create: (senders, context) =>
    Object.entries(senders).map(([name, sender]) =>
      createReceiver(name, sender, context.read(sender.secrets, `${name}.secrets`), context.now),
    ),
});

/** A pointer begins with a slash; anything else is the image itself. */
function registryOfSender(push: GenericSender['push']) {
  if (push === undefined) return ofAny;
  const { registry, repository } = push;
  const always = repository === '' || repository.startsWith('/') ? undefined : referenceIn(repository)?.repository;
  const host = registry ?? (always && registryOf(always));
  return host === undefined ? ofAny : ofHosts(host);
}

function createReceiver(name: string, sender: GenericSender, secrets: ReadSecrets, now?: () => number): OwnReceiver {
  const source = `generic/${name}`;
  const { authenticate, challenge, carries } = proofOf(sender, secrets, now);
  return {
    source,
    path: `/webhook/${source}`,
    ...(sender.mediaTypes !== undefined && { mediaTypes: sender.mediaTypes }),
    mediaTypeAdvice: `Where the sender says otherwise, set receivers.generic.${name}.mediaTypes.`,
    challenge,
    authenticationAdvice: `Expected ${carries}. Set the same secret at the sender and in receivers.generic.${name}.secrets.`,
    authenticate: fromNetworks(sender.networks, authenticate),
    parse({ body }) {
      if (sender.commits !== undefined) return readCommits(body, sender, sender.commits);
      const found = readPushes(body, sender, name);
      // What comes in one request is one delivery.
      const made = randomUUID();
      const images = found.images.map((image) => ({ deliveryId: made, ...image }));
      return { event: 'push', ...found, deliveryId: images[0]?.deliveryId ?? made, images };
    },
  };
}

/** `carries`: what authenticates a request in words, for the person who sets the sender up. */
function proofOf(
  { signature, header }: GenericSender,
  secrets: ReadSecrets,
  now: (() => number) | undefined,
): Pick<Receiver, 'authenticate' | 'challenge'> & { readonly carries: string } {
  if (signature !== undefined) {
    const { algorithm = 'sha256', prefix = '' } = signature;
    const method = `HMAC-${algorithm.toUpperCase()}`;
    const before = prefix === '' ? '' : ` after ${prefix}`;
    return {
      ...bySignature(secrets, { ...signature, time: signedTimeOf(signature, now) }),
      carries:
        signature.timestamp === undefined
          ? `the header ${signature.header} with the ${method} of the body, in hex${before}`
          : `the header ${signature.timestamp} with the time, and the header ${signature.header} with the ${method} of that, a dot and the body, in hex${before}`,
    };
  }
  if (header !== undefined) {
    const carries = `the header ${header} with the secret`;
    return { authenticate: byHeader(secrets, header), challenge: `Secret header="${header}"`, carries };
  }
  return {
    authenticate: byBearer(secrets),
    challenge: 'Bearer realm="landfall"',
    carries: 'the header Authorization with a bearer token',
  };
}

type SenderPush = NonNullable<GenericSender['push']>;

const mostItems = 100;

function readCommits(body: unknown, { when = {} }: GenericSender, commits: NonNullable<GenericSender['commits']>): ParsedRequest {
  const about = { event: 'push', deliveryId: randomUUID(), images: [] };
  const unwanted = whyNot(body, when);
  if (unwanted !== undefined) return { ...about, ignored: unwanted };
  const { repository: at, ref, before, after, actor } = commits;
  const repository = at.startsWith('/') ? textAt(body, at) : at;
  const [said, was, is, by] = [ref, before, after, actor].map((pointer) => textAt(body, pointer));
  return { ...about, ...commitsOf({ repositories: [repository], ref: said, before: was, after: is, actor: by }) };
}

type ReadImages = Pick<ParsedRequest, 'images' | 'ignored'>;

/**
 * What a body says, by the pointers of the configuration.
 * @param name of the sender; ids of deliveries are its own, so they stand behind it
 * @throws Problem 400 if nothing can be read: of several items, one that can be read is enough
 */
function readPushes(body: unknown, { when = {}, push }: GenericSender, name: string): ReadImages {
  // The schema has seen to it that there is this or commits.
  if (push === undefined) throw new Error('expected push of a sender of images');
  const unwanted = whyNot(body, when);
  if (unwanted !== undefined) return { images: [], ignored: unwanted };
  if (push.list === undefined) return readItem(body, push, name);
  const items = foundAt(body, push.list);
  if (!Array.isArray(items) || items.length > mostItems)
    throw malformed(`Expected at ${push.list} a list of at most ${mostItems}.`);
  const problems: Problem[] = [];
  const readable = items.flatMap((item: unknown) => {
    try {
      return [readItem(item, push, name)];
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problems.push(error);
      return [];
    }
  });
  const images = readable.flatMap((each) => each.images);
  if (images.length > 0) return { images };
  const ignored = readable.find((each) => each.ignored !== undefined)?.ignored;
  if (ignored === undefined && problems[0] !== undefined) throw problems[0];
  return { images, ignored: ignored ?? 'the list is empty' };
}

function readItem(item: unknown, push: SenderPush, name: string): ReadImages {
  const unwanted = whyNot(item, push.when ?? {});
  if (unwanted !== undefined) return { images: [], ignored: unwanted };
  const reference = imageOf(item, push);
  const origin = originIn({
    commit: textAt(item, push.commit),
    sourceRepository: textAt(item, push.sourceRepository),
    actor: textAt(item, push.actor),
  });
  const about = { repository: reference.repository, ...origin, ...deliveryOf(item, push, name) };
  // A sender that never names a tag says that something was pushed; one that leaves it out has pushed none.
  if (push.tag === undefined && reference.tag === undefined) return { images: [about] };
  const tags = push.tag === undefined ? tagsAmong([reference.tag]) : tagsAt(item, push.tag);
  const digest = digestIn(textAt(item, push.digest) ?? reference.digest);
  if (tags.length === 0) return { images: [], ignored: 'no tag was pushed' };
  return { images: tags.map((tag) => ({ ...about, ...digest, tag })) };
}

/** The first condition that does not hold, in words. */
function whyNot(value: unknown, conditions: Conditions): string | undefined {
  const failed = Object.entries(conditions).find(([at, values]) => {
    const found = foundAt(value, at) ?? null;
    return !values.some((expected) => expected === found);
  });
  return failed && `expected at ${failed[0]} ${failed[1].slice(0, 5).map(String).join(' or ')}`;
}

function imageOf(item: unknown, { repository: at, registry }: SenderPush): WrittenReference {
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
  const listed: readonly unknown[] = [foundAt(item, at) ?? []].flat();
  if (listed.length > mostItems || listed.some((tag) => typeof tag !== 'string')) {
    throw malformed(`Expected at ${at} a tag as text, or a list of at most ${mostItems} tags.`);
  }
  return tagsAmong(listed);
}

function tagsAmong(values: readonly unknown[]): readonly Tag[] {
  return [...new Set(values.filter((tag): tag is Tag => typeof tag === 'string' && isTag(tag)))];
}

/** Two senders may both count from one. */
function deliveryOf(item: unknown, { delivery: at }: SenderPush, name: string): Pick<PushedImage, 'deliveryId'> {
  const found = foundAt(item, at);
  const id = Number.isSafeInteger(found) ? String(found) : found;
  if (typeof id !== 'string' || !/^[\w.:-]{1,100}$/.test(id)) return {};
  return { deliveryId: looksLikeDeliveryId(id) ? id : `${name}:${id}` };
}

function textAt(item: unknown, at: string | undefined): string | undefined {
  const found = foundAt(item, at);
  return typeof found === 'string' ? found : undefined;
}

function foundAt(item: unknown, at: string | undefined): unknown {
  if (at === undefined) return undefined;
  const pointer = parseJsonPointer(at);
  // The schema has checked it already.
  if (pointer === undefined) throw new Error(`expected a JSON pointer, found ${at}`);
  return valueAt(item, pointer);
}
