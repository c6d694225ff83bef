import type { ImageReference } from './image-reference.ts';
import { findInCompose } from './manifest-edit/compose.ts';
import { findInEnvFile } from './manifest-edit/env-file.ts';
import { referenceOf, valueFor } from './manifest-edit/image-value.ts';
import { editRefused, type ValueLocation } from './manifest-edit/location.ts';
import { findByMarker } from './manifest-edit/marker.ts';
import { findByPath } from './manifest-edit/yaml-path.ts';
import type { ImageIdentity } from './outcomes.ts';
import type { ChangePlan } from './plan.ts';

export { problemOfPath } from './manifest-edit/yaml-path.ts';

/** Anybody who can push to the deployment repository can write any file there: a larger one would take long, and no real manifest is. */
export const longestFile = 1024 * 1024;
/** The values are kept in the rollout's history, whose size is limited. */
const mostPlaces = 500;

export interface ManifestEdit extends ManifestValues {
  /** The file afterwards; the very text that was given if nothing had to change. */
  readonly text: string;
}

/** What the places of a change said and say, one value per place. */
export interface ManifestValues {
  /** As written in the file, without quotes. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** The same with the quotes that they have in the file: what `restoreManifest` puts back byte for byte. Absent if they have none. */
  readonly written?: { readonly before: readonly string[]; readonly after: readonly string[] };
}

/** What putting values back comes to. */
export type ManifestRestored =
  | ({ readonly kind: 'restored' } & ManifestEdit)
  /** The places say it already. */
  | { readonly kind: 'unchanged' }
  /** Somebody wrote something else there since. */
  | { readonly kind: 'changed'; readonly place: string; readonly says: string };

/** What one place of a file says now. */
export interface CurrentReference {
  /** As written in the file, without quotes. */
  readonly text: string;
  /** Absent if the text is no image reference. For `value: bare`, the repository is the service's own. */
  readonly reference?: ImageReference;
}

/**
 * Writes an image into a file of the deployment repository and keeps every other byte: comments, quotes, line ends, indentation.
 * @throws Refusal `TargetNotFound` (names the file and what it has instead) or `EditRefused` (says why and what to do)
 */
export function editManifest(text: string, change: ChangePlan, image: ImageIdentity): ManifestEdit {
  const places = placesOf(text, change, image);
  const after = places.map((place) => valueFor(place, change, image));
  const before = places.map((place) => text.slice(place.start, place.end));
  const written = places.map((place, index) => {
    const value = after[index] ?? '';
    return value === place.value ? (before[index] ?? '') : place.write(value);
  });
  return { text: withWritten(text, places, written), ...valuesOf(before, written) };
}

/**
 * Puts back what the places said before an edit, byte for byte, and keeps every other byte of the file as it is by now.
 * @param values of the edit: `after` is what the places have to say still, in whatever quotes
 * @throws Refusal if the file has the places no more
 */
export function restoreManifest(
  text: string,
  change: ChangePlan,
  image: Pick<ImageIdentity, 'repository'>,
  values: ManifestValues,
): ManifestRestored {
  const { before, after } = values.written ?? values;
  const places = placesOf(text, change, image);
  const now = places.map((place) => text.slice(place.start, place.end));
  const isOther = (index: number) => ![before[index], after[index]].some((raw) => isValue(places[index], raw));
  const other = places.find((_, index) => isOther(index));
  if (other !== undefined) return { kind: 'changed', place: other.name, says: other.value };
  if (places.every((place, index) => isValue(place, before[index]))) return { kind: 'unchanged' };
  const restored = places.map((place, index) => (isValue(place, before[index]) ? now[index] : before[index]) ?? '');
  return { kind: 'restored', text: withWritten(text, places, restored), ...valuesOf(now, restored) };
}

/**
 * Whether all places say these values, in whatever quotes.
 * @throws Refusal if the file has the places no more
 */
export function manifestSays(
  text: string,
  change: ChangePlan,
  image: Pick<ImageIdentity, 'repository'>,
  values: readonly string[],
): boolean {
  return placesOf(text, change, image).every((place, index) => isValue(place, values[index]));
}

/**
 * Whether two texts differ in nothing but the values of the change and their quotes.
 * @throws Refusal if one of them does not have these values
 */
export function sameBesidePlaces(
  one: string,
  change: ChangePlan,
  image: Pick<ImageIdentity, 'repository'>,
  other: string,
): boolean {
  const [rest, otherRest] = [one, other].map((text) => {
    const places = placesOf(text, change, image);
    const none = places.map(() => '');
    return withWritten(text, places, none);
  });
  return rest === otherRest;
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

/** @param written one per place, with its quotes */
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

function isValue(place: ValueLocation | undefined, raw: string | undefined): boolean {
  return place !== undefined && raw !== undefined && place.value === unquoted(raw);
}

/**
 * What the places of a change say now, one per place; the image says only whose places they are.
 * @throws Refusal as `editManifest`, but for what stands there
 */
export function readReference(
  text: string,
  change: ChangePlan,
  image: Pick<ImageIdentity, 'repository'>,
): readonly CurrentReference[] {
  return placesOf(text, change, image).map((place) => {
    const reference = referenceOf(place, change, image);
    return { text: place.value, ...(reference !== undefined && { reference }) };
  });
}

function placesOf(text: string, change: ChangePlan, image: Pick<ImageIdentity, 'repository'>): readonly ValueLocation[] {
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

function findPlaces(text: string, change: ChangePlan, image: Pick<ImageIdentity, 'repository'>): readonly ValueLocation[] {
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
