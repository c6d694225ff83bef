import type { ImagePush } from '../../domain/image-push.ts';
import { malformed } from '../../http/problem.ts';
import { repositoryIn, tagAndDigest } from './image.ts';
import type { ParsedRequest } from './receiver.ts';
import type { WrittenImage } from './reference-text.ts';

export type PushedImage = Pick<ImagePush, 'repository' | 'tag' | 'digest' | 'commit' | 'actor'>;

/** What one of the events of a request says. `deliveryId` is the event's own, where a request brings several. */
export type Reading =
  | { readonly image: PushedImage; readonly deliveryId?: string }
  | { readonly ignored: string }
  | { readonly malformed: string };

/** @param expected what the sender should have said in place of a name that is none: a sentence */
export function readImage({ name, tag, digest }: WrittenImage, expected: string): Reading {
  const tagged = tagAndDigest(tag, digest);
  if (tagged === undefined) return { ignored: 'no tag was pushed' };
  const repository = repositoryIn(name);
  return repository === undefined ? { malformed: expected } : { image: { repository, ...tagged } };
}

/** Adds to an image what else is known of its push; anything else stays as it is. */
export function withDetails(reading: Reading, { deliveryId, ...details }: ReadingDetails): Reading {
  if (!('image' in reading)) return reading;
  return { ...reading, image: { ...reading.image, ...details }, ...(deliveryId !== undefined && { deliveryId }) };
}

export type ReadingDetails = Partial<Pick<ImagePush, 'commit' | 'actor' | 'deliveryId'>>;

/** Far more than any sender puts together; each takes time in which nobody else is answered. */
const mostAtOnce = 1000;

/**
 * A list of a request, before any of its entries is looked at.
 * @throws Problem 400 where it is longer than any sender's
 */
export function bounded<Entry>(entries: readonly Entry[], most = mostAtOnce): readonly Entry[] {
  if (entries.length > most) throw malformed(`Expected at most ${most} events in one request. Send them in several.`);
  return entries;
}

export interface Delivery extends Pick<ParsedRequest, 'event' | 'action' | 'deliveryId'> {
  readonly source: string;
  readonly receivedAt: string;
}

/**
 * All of one request: its images, or why there is none. One bad event among good ones costs no push.
 * @throws Problem 400 where none is an image, and one is not what the source sends
 */
export function parsedFrom(readings: readonly Reading[], { source, receivedAt, ...about }: Delivery): ParsedRequest {
  const pushes = readings.flatMap((reading) =>
    'image' in reading ? [{ source, receivedAt, deliveryId: reading.deliveryId ?? about.deliveryId, ...reading.image }] : [],
  );
  if (pushes.length > 0) return { ...about, pushes };
  const wrong = readings.find((reading) => 'malformed' in reading);
  if (wrong !== undefined) throw malformed(wrong.malformed);
  const unwanted = readings.find((reading) => 'ignored' in reading);
  return { ...about, pushes, ignored: unwanted?.ignored ?? 'nothing was pushed' };
}
