import { type ImageReference, InvalidReference, isDigest, isTag, parseReference, writtenRepository } from '../image-reference.ts';
import type { ImageIdentity } from '../outcomes.ts';
import type { ChangePlan } from '../plan.ts';
import { editRefused, type ValueLocation } from './location.ts';

/**
 * What a place says once it names the image: the spelling of the repository is kept (`nginx` stays `nginx`).
 * @throws Refusal `EditRefused` if the place holds something else than this image
 */
export function valueFor(place: ValueLocation, change: ChangePlan, image: ImageIdentity): string {
  const wanted = {
    tag: change.pin !== 'digest' ? image.tag : undefined,
    digest: change.pin !== 'tag' ? image.digest : undefined,
  };
  if (place.value.includes('$')) {
    throw editRefused(
      change.file,
      `${place.name} is '${place.value}', which is put together where it is used; write the whole value there, or let the change name the variable (env: KEY)`,
    );
  }
  if (change.value === 'bare') {
    refuseUnlessBare(place, change);
    return [wanted.tag, wanted.digest].filter((part) => part !== undefined).join('@');
  }
  const { repository } = referenceIn(place, change);
  if (repository !== image.repository) {
    throw editRefused(
      change.file,
      `${place.name} is '${place.value}', expected an image of ${image.repository}; correct the file or the service's image and change`,
    );
  }
  return `${writtenRepository(place.value)}${wanted.tag === undefined ? '' : `:${wanted.tag}`}${wanted.digest === undefined ? '' : `@${wanted.digest}`}`;
}

/** What a place says now; undefined if that is no image reference. */
export function referenceOf(
  place: ValueLocation,
  change: ChangePlan,
  image: Pick<ImageIdentity, 'repository'>,
): ImageReference | undefined {
  try {
    if (change.value === 'reference') return parseReference(place.value);
    return isBare(place.value) ? parseReference(`${image.repository}${separator(place.value)}${place.value}`) : undefined;
  } catch (error) {
    if (error instanceof InvalidReference) return undefined;
    throw error;
  }
}

function referenceIn(place: ValueLocation, change: ChangePlan): ImageReference {
  try {
    return parseReference(place.value);
  } catch (error) {
    if (!(error instanceof InvalidReference)) throw error;
    const found = place.value === '' ? 'is empty' : `is '${place.value}', which is no image reference`;
    throw editRefused(
      change.file,
      `${place.name} ${found}; write the image there once, such as registry.example.org/team/app:1.0`,
      {
        cause: error,
      },
    );
  }
}

function refuseUnlessBare(place: ValueLocation, change: ChangePlan): void {
  if (place.value === '' || isBare(place.value)) return;
  throw editRefused(
    change.file,
    `${place.name} is '${place.value}', expected a tag or a digest alone; leave out 'value: bare' where it holds a whole image reference`,
  );
}

/** A tag, a digest, or both with an @ between them. */
function isBare(value: string): boolean {
  const at = value.indexOf('@');
  return at < 0 ? isTag(value) || isDigest(value) : isTag(value.slice(0, at)) && isDigest(value.slice(at + 1));
}

function separator(bare: string): string {
  return isDigest(bare) ? '@' : ':';
}
