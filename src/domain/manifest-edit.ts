import type { ImageReference } from './image-reference.ts';
import { findInCompose } from './manifest-edit/compose.ts';
import { findInEnvFile } from './manifest-edit/env-file.ts';
import { referenceOf, valueFor } from './manifest-edit/image-value.ts';
import { findByMarker } from './manifest-edit/marker.ts';
import type { Place } from './manifest-edit/place.ts';
import { findByPath } from './manifest-edit/yaml-path.ts';
import type { ImageIdentity } from './outcomes.ts';
import type { ChangePlan } from './plan.ts';

export { problemOfPath } from './manifest-edit/yaml-path.ts';

export interface ManifestEdit {
  /** The file afterwards; the very text that was given where nothing had to change. */
  readonly text: string;
  /** The values that stood there, one per place, as written in the file. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** What one place of a file says now. */
export interface CurrentReference {
  /** As written in the file, without quotes. */
  readonly text: string;
  /** Absent where the text is no image reference. For `value: bare`, the repository is the service's own. */
  readonly reference?: ImageReference;
}

/**
 * Writes an image into a file of the deployment repository and keeps every other byte: comments, quotes, line ends, indentation.
 * @throws Refusal `TargetNotFound` (names the file and what it has instead) or `EditRefused` (says why and what to do)
 */
export function editManifest(text: string, change: ChangePlan, image: ImageIdentity): ManifestEdit {
  const places = placesOf(text, change, image);
  const after = places.map((place) => valueFor(place, change, image));
  let edited = text;
  // From the last to the first, so that what is still to be edited has not moved.
  const fromTheEnd = places
    .map((place, index) => ({ place, value: after[index] ?? '' }))
    .sort((a, b) => b.place.start - a.place.start);
  for (const { place, value } of fromTheEnd) {
    if (value === place.value) continue;
    edited = edited.slice(0, place.start) + place.write(value) + edited.slice(place.end);
  }
  return { text: edited, before: places.map((place) => place.value), after };
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
    return { text: place.value, ...(reference === undefined ? {} : { reference }) };
  });
}

function placesOf(text: string, change: ChangePlan, image: Pick<ImageIdentity, 'repository'>): readonly Place[] {
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
