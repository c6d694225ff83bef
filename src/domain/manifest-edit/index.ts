import {
  type ImageReference,
  isDigest,
  isTag,
  parseReference,
  tryParseReference,
  writtenRepository,
} from '../image-reference.ts';
import type { ImageIdentity, ManifestValues } from '../outcomes.ts';
import type { ChangePlan } from '../plan.ts';
import { findInEnvFile } from './env-file.ts';
import { editRefused, type InRepository, type ValueLocation } from './location.ts';
import { findByMarker } from './marker.ts';
import { findByPath, findInCompose } from './yaml.ts';

export { problemOfPath } from './yaml.ts';

/** Anybody who can push to the deployment repository can write any file there: a larger one would take long, and no real manifest is. */
export const longestFile = 1024 * 1024;
/** The values are kept in the rollout's history, whose size is limited. */
const mostPlaces = 500;

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
export function editManifest(text: string, change: ChangePlan, image: ImageIdentity): ManifestEdit {
  const places = placesOf(text, change, image);
  const before = places.map((place) => text.slice(place.start, place.end));
  const written = places.map((place, index) => {
    const value = valueFor(place, change, image);
    return value === place.value ? (before[index] ?? '') : place.write(value);
  });
  return { text: withWritten(text, places, written), ...valuesOf(before, written) };
}

/**
 * Puts back what the places said before an edit, byte for byte, and keeps every other byte of the file as it is by now.
 * @param values of the edit: `after` is what the places have to say still, in whatever quotes
 * @throws Refusal if the file has the places no more
 */
export function restoreManifest(text: string, change: ChangePlan, image: InRepository, values: ManifestValues): ManifestRestored {
  const { before, after } = values.written ?? values;
  const places = placesOf(text, change, image);
  const now = places.map((place) => text.slice(place.start, place.end));
  const other = places.find((place, index) => !isValue(place, before[index]) && !isValue(place, after[index]));
  if (other !== undefined) return { kind: 'changed', place: other.name, says: other.value };
  if (places.every((place, index) => isValue(place, before[index]))) return { kind: 'unchanged' };
  const restored = places.map((place, index) => (isValue(place, before[index]) ? now[index] : before[index]) ?? '');
  return { kind: 'restored', text: withWritten(text, places, restored), ...valuesOf(now, restored) };
}

/** Whether all places say these values, in whatever quotes. @throws Refusal if the file has the places no more */
export function manifestSays(text: string, change: ChangePlan, image: InRepository, values: readonly string[]): boolean {
  return placesOf(text, change, image).every((place, index) => isValue(place, values[index]));
}

/** Whether two texts differ in nothing but the values of the change and their quotes. @throws Refusal if one of them does not have these values */
export function sameBesidePlaces(one: string, change: ChangePlan, image: InRepository, other: string): boolean {
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
  change: ChangePlan,
  image: InRepository,
): readonly { text: string; reference?: ImageReference }[] {
  return placesOf(text, change, image).map(({ value }) => {
    const whole = change.value === 'reference' ? value : `${image.repository}${isDigest(value) ? '@' : ':'}${value}`;
    const reference = change.value === 'reference' || isBare(value) ? tryParseReference(whole) : undefined;
    return { text: value, ...(reference !== undefined && { reference }) };
  });
}

/** @param before with quotes @param after with quotes */
function valuesOf(before: readonly string[], after: readonly string[]): ManifestValues {
  const plain = { before: before.map(unquoted), after: after.map(unquoted) };
  const isPlain = [...before, ...after].every((raw) => raw === unquoted(raw));
  return isPlain ? plain : { ...plain, written: { before, after } };
}

function unquoted(raw: string): string {
  return raw.replace(/^(["'])(.*)\1$/s, '$2');
}

function isValue(place: ValueLocation, raw: string | undefined): boolean {
  return raw !== undefined && place.value === unquoted(raw);
}

/** @param written one per place, with its quotes; what is missing is left out of the text */
function withWritten(text: string, places: readonly ValueLocation[], written: readonly string[]): string {
  const inOrder = places
    .map((place, index) => ({ place, raw: written[index] ?? '' }))
    .sort((a, b) => a.place.start - b.place.start);
  const parts: string[] = [];
  let end = 0;
  for (const { place, raw } of inOrder) {
    parts.push(text.slice(end, place.start), raw);
    end = place.end;
  }
  return [...parts, text.slice(end)].join('');
}

function placesOf(text: string, change: ChangePlan, image: InRepository): readonly ValueLocation[] {
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

function findPlaces(text: string, change: ChangePlan, image: InRepository): readonly ValueLocation[] {
  const { file, target } = change;
  switch (target.kind) {
    case 'compose':
      return findInCompose(text, file, [...new Set(target.services)]);
    case 'yaml':
      return findByPath(text, file, target.path);
    case 'marker':
      return findByMarker(text, change, target.name, image);
    case 'env':
      return findInEnvFile(text, file, target.key);
  }
}

/**
 * What a place says once it names the image: the spelling of the repository is kept (`nginx` stays `nginx`).
 * @throws Refusal `EditRefused` if the place holds something else than this image
 */
function valueFor({ name, value }: ValueLocation, change: ChangePlan, image: ImageIdentity): string {
  const refused = (why: string, options?: ErrorOptions) => editRefused(change.file, `${name} ${why}`, options);
  const tag = change.pin === 'digest' ? '' : `:${image.tag}`;
  const digest = change.pin === 'tag' ? '' : `@${image.digest}`;
  if (value.includes('$')) {
    throw refused(
      `is '${value}', which is put together where it is used; write the whole value there, or let the change name the variable (env: KEY)`,
    );
  }
  if (change.value === 'bare') {
    if (value === '' || isBare(value)) return `${tag}${digest}`.slice(1);
    throw refused(
      `is '${value}', expected a tag or a digest alone; leave out 'value: bare' where it holds a whole image reference`,
    );
  }
  const repository = repositoryIn(value, refused);
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
