import { malformed } from '../../http/problem.ts';
import { repositoryIn, tagAndDigest } from './image.ts';
import type { ParsedRequest, PushedImage } from './receiver.ts';
import type { WrittenImage } from './reference-text.ts';

/** What one of the events of a request says. */
export type EventReading = { readonly image: PushedImage } | { readonly ignored: string } | { readonly malformed: string };

/** @param expected what the sender should have said in place of a name that is none: a sentence */
export function readImage({ name, tag, digest }: WrittenImage, expected: string): EventReading {
  const tagged = tagAndDigest(tag, digest);
  if (tagged === undefined) return { ignored: 'no tag was pushed' };
  const repository = repositoryIn(name);
  return repository === undefined ? { malformed: expected } : { image: { repository, ...tagged } };
}

export type PushDetails = Partial<Pick<PushedImage, 'commit' | 'actor' | 'deliveryId'>>;

/** Adds to an image what else is known of its push; anything else stays as it is. */
export function withDetails(reading: EventReading, details: PushDetails): EventReading {
  return 'image' in reading ? { image: { ...reading.image, ...details } } : reading;
}

/** Far more than any sender puts together; each takes time in which no other request is answered. */
const mostAtOnce = 1000;

/**
 * A list of a request, before any of its entries is looked at.
 * @throws Problem 400 if it is longer than any sender's
 */
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
