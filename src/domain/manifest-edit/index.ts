import { Refusal } from '../failures.ts';
import {
  familiarName,
  type ImageReference,
  isDigest,
  isTag,
  parseReference,
  tryParseReference,
  writtenRepository,
} from '../image-reference.ts';
import type { ImageIdentity, ManifestValues } from '../outcomes.ts';
import type { ChangedFile } from '../plan.ts';
import { findInEnvFile } from './env-file.ts';
import { findImages } from './images.ts';
import { editRefused, type InRepository, type ValueLocation } from './location.ts';
import { findByMarker } from './marker.ts';
import { findByPath, findInCompose } from './yaml.ts';

export { problemOfPath } from './yaml.ts';

/** Anybody who can push to the deployment repository can write any file there: a larger one would take long, and no real manifest is. */
export const longestFile = 1024 * 1024;
/** The values are kept in the rollout's history, whose size is limited. */
export const mostPlaces = 500;

interface ManifestEdit extends ManifestValues {
  /** The file afterwards; the very text that was given if nothing had to change. */
  readonly text: string;
}

/** What putting values back comes to. */
export type ManifestRestored =
  | ({ readonly kind: 'restored' } & ManifestEdit)
  /** The places say it already. */
  | { readonly kind: 'unchanged' }
  /** Somebody wrote something else there since. */
  | { readonly kind: 'changed'; readonly place: string; readonly says: string };

/**
 * Writes an image into a file of the deployment repository and keeps every other byte: comments, quotes, line ends, indentation.
 * @throws Refusal `TargetNotFound` (names the file and what it has instead) or `EditRefused` (says why and what to do)
 */
export function editManifest(text: string, change: ChangedFile, image: ImageIdentity): ManifestEdit {
  const places = placesOf(text, change, image);
  const before = places.map((place) => saidAt(text, place));
  const after = places.map((place) => {
    const value = valueFor(place, change, image);
    return { value, raw: value === place.value ? saidAt(text, place).raw : place.write(value) };
  });
  const edited = withWritten(text, places, after);
  const values = valuesOf(before, after);
  if (places.some(({ start, end }) => start === end)) assertReads(edited, change, image, values.after);
  return { text: edited, ...values };
}

/** Whatever stands around it: what was added has to read as it was meant. @throws Refusal */
function assertReads(edited: string, change: ChangedFile, image: InRepository, values: readonly string[]): void {
  const why = 'the image cannot be added to what stands there; write it there once, on lines of its own';
  try {
    if (manifestSays(edited, change, image, values)) return;
  } catch (cause) {
    throw cause instanceof Refusal ? editRefused(change.file, why, { cause }) : cause;
  }
  throw editRefused(change.file, why);
}

/**
 * Puts back what the places said before an edit, byte for byte, and keeps every other byte of the file as it is by now.
 * @param values of the edit: `after` is what the places have to say still, in whatever quotes
 * @throws Refusal if the file has the places no more
 */
export function restoreManifest(
  text: string,
  change: ChangedFile,
  image: InRepository,
  values: ManifestValues,
): ManifestRestored {
  const places = placesOf(text, change, image);
  const before = places.map((_, index) => {
    const value = values.before[index];
    return value === undefined ? undefined : { value, raw: values.written?.before[index] ?? value };
  });
  const other = places.find(({ value }, index) => value !== before[index]?.value && value !== values.after[index]);
  if (other !== undefined) return { kind: 'changed', place: other.name, says: other.value };
  if (places.every(({ value }, index) => value === before[index]?.value)) return { kind: 'unchanged' };
  const now = places.map((place) => saidAt(text, place));
  const restored = now.map((said, index) => (said.value === before[index]?.value ? said : (before[index] ?? said)));
  return { kind: 'restored', text: withWritten(text, places, restored), ...valuesOf(now, restored) };
}

/** The first service of a Compose file whose image the change sets. @throws Refusal if the file has none */
export function composeServiceIn(text: string, change: ChangedFile, image: InRepository): string | undefined {
  const [place] = placesOf(text, change, image);
  const [, plain, quoted] = /^services(?:\.([^.[\]"]+)|\["([^"]+)"\])\.image$/.exec(place?.name ?? '') ?? [];
  return plain ?? quoted;
}

/** Whether all places say these values, in whatever quotes. @throws Refusal if the file has the places no more */
export function manifestSays(text: string, change: ChangedFile, image: InRepository, values: readonly string[]): boolean {
  return placesOf(text, change, image).every(({ value }, index) => value === values[index]);
}

/** Whether two texts differ in nothing but the values of the change and their quotes. @throws Refusal if one of them does not have these values */
export function sameBesidePlaces(one: string, change: ChangedFile, image: InRepository, other: string): boolean {
  const [rest, otherRest] = [one, other].map((text) => withWritten(text, placesOf(text, change, image), []));
  return rest === otherRest;
}

/**
 * What the places of a change say now, one per place; the image says only whose places they are.
 * @returns `text` without quotes, and the reference, if it is one; for `value: bare`, its repository is the service's own
 * @throws Refusal as `editManifest`, but for what stands there
 */
export function readReference(
  text: string,
  change: ChangedFile,
  image: InRepository,
): readonly { text: string; reference?: ImageReference }[] {
  return placesOf(text, change, image).map(({ value, holds = change.value }) => {
    const whole = holds === 'reference' ? value : `${image.repository}${isDigest(value) ? '@' : ':'}${value}`;
    const isRead = holds === 'reference' || (holds !== 'hash' && holds !== 'name' && isBare(value));
    const reference = isRead ? tryParseReference(whole) : undefined;
    return { text: value, ...(reference !== undefined && { reference }) };
  });
}

/** A value, and how it is written in the file: with its quotes. */
interface WrittenValue {
  readonly value: string;
  readonly raw: string;
}

function saidAt(text: string, { value, start, end }: ValueLocation): WrittenValue {
  return { value, raw: text.slice(start, end) };
}

function valuesOf(before: readonly WrittenValue[], after: readonly WrittenValue[]): ManifestValues {
  const values = { before: before.map(({ value }) => value), after: after.map(({ value }) => value) };
  if ([...before, ...after].every(({ value, raw }) => value === raw)) return values;
  return { ...values, written: { before: before.map(({ raw }) => raw), after: after.map(({ raw }) => raw) } };
}

/** @param said one per place; where it is missing or empty, the place is left out of the text */
function withWritten(text: string, places: readonly ValueLocation[], said: readonly WrittenValue[]): string {
  const inOrder = places
    .map((place, index) => ({ place, raw: said[index]?.raw ?? '' }))
    .sort((a, b) => a.place.start - b.place.start);
  const parts: string[] = [];
  let end = 0;
  for (const { place, raw } of inOrder) {
    const range = raw === '' ? (place.whole ?? place) : place;
    parts.push(text.slice(end, range.start), raw);
    end = range.end;
  }
  return [...parts, text.slice(end)].join('');
}

function placesOf(text: string, change: ChangedFile, image: InRepository): readonly ValueLocation[] {
  const { file } = change;
  if (text.length > longestFile) {
    throw editRefused(
      file,
      `it has ${text.length} characters, expected at most ${longestFile} (1 MiB); move what the change is about into a file of its own, and let change.file name that`,
    );
  }
  const places = findPlaces(text, change, image);
  if (places.length <= mostPlaces) return places;
  throw editRefused(file, `the change has ${places.length} places there, expected at most ${mostPlaces}; split the file`);
}

function findPlaces(text: string, change: ChangedFile, image: InRepository): readonly ValueLocation[] {
  const { file, target } = change;
  switch (target.kind) {
    case 'compose':
      return findInCompose(text, change, target, image);
    case 'yaml':
      return findByPath(text, file, [target.path].flat());
    case 'marker':
      return findByMarker(text, change, target.name, image);
    case 'env':
      return findInEnvFile(text, file, target.key);
    case 'images':
      return findImages(text, change, image);
  }
}

/**
 * What a place says once it names the image: the spelling of the repository is kept (`nginx` stays `nginx`).
 * @throws Refusal `EditRefused` if the place holds something else than this image
 */
function valueFor(place: ValueLocation, change: ChangedFile, image: ImageIdentity): string {
  const { name, value, holds = change.value } = place;
  const refused = (why: string, options?: ErrorOptions) => editRefused(change.file, `${name} ${why}`, options);
  const tag = change.pin === 'digest' ? '' : `:${image.tag}`;
  const digest = change.pin === 'tag' ? '' : `@${image.digest}`;
  if (value.includes('$')) {
    throw refused(
      `is '${value}', which is put together where it is used; write the whole value there, or let the change name the variable (env: KEY)`,
    );
  }
  switch (holds) {
    case 'name':
      return value === '' ? familiarName(image.repository) : value;
    case 'digest':
      return image.digest;
    case 'hash':
      return image.digest.slice('sha256:'.length);
    case 'tag':
      return image.tag;
    case 'bare':
      if (value === '' || isBare(value)) return `${tag}${digest}`.slice(1);
      throw refused(
        `is '${value}', expected a tag or a digest alone; leave out 'value: bare' where it holds a whole image reference`,
      );
    case 'reference':
      break;
  }
  // Where the registry stands apart, whoever found the place has seen to it that it is this repository's.
  const repository = change.target.kind === 'images' ? image.repository : repositoryIn(value, refused);
  if (repository !== image.repository) {
    throw refused(`is '${value}', expected an image of ${image.repository}; correct the file or the service's image and change`);
  }
  return `${writtenRepository(value)}${tag}${digest}`;
}

function repositoryIn(value: string, refused: (why: string, options: ErrorOptions) => Error): string {
  try {
    return parseReference(value).repository;
  } catch (cause) {
    const found = value === '' ? 'is empty' : `is '${value}', which is no image reference`;
    throw refused(`${found}; write the image there once, such as registry.example.org/team/app:1.0`, { cause });
  }
}

/** A tag, a digest, or both with an @ between them. */
function isBare(value: string): boolean {
  const at = value.indexOf('@');
  return at < 0 ? isTag(value) || isDigest(value) : isTag(value.slice(0, at)) && isDigest(value.slice(at + 1));
}
