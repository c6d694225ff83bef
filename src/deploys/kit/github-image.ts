import { Refusal } from '../../domain/failures.ts';
import { formatReference, InvalidReference, isDigest, parseReference } from '../../domain/image-reference.ts';
import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import type { Target } from '../deploy.ts';

/** What somebody else is asked to deploy. A tag may be unknown of what ran before. */
export type WantedImage = Pick<ImageIdentity, 'repository' | 'digest'> & Partial<Pick<ImageIdentity, 'tag'>>;

/** `registry/path:tag@digest` */
export function referenceOf(image: WantedImage): string {
  return formatReference(image);
}

/** What is known to run once a deploy of it was successful. */
export function runningOf(name: string, image: WantedImage): RunningImage {
  return { name, reference: referenceOf(image), digest: image.digest };
}

/**
 * The image to go back to.
 * @throws Refusal `NothingBefore`, or `DeployRefused` if nobody knows its digest
 */
export function imageBefore({ stage, plan }: Pick<Target, 'stage' | 'plan'>, before: readonly RunningImage[]): WantedImage {
  const [first] = before;
  if (first === undefined) {
    throw new Refusal(
      'NothingBefore',
      `nobody knows what ${stage.name} of ${plan.service} ran before: deploy what it should run`,
    );
  }
  const parsed = parsedReference(first.reference);
  const digest = first.digest ?? parsed?.digest;
  if (parsed !== undefined && digest !== undefined && isDigest(digest)) return { ...parsed, digest };
  throw new Refusal(
    'DeployRefused',
    `expected an image with its digest to go back to, found '${first.reference.slice(0, 200)}' in ${stage.name} of ${plan.service}: deploy what it should run`,
  );
}

function parsedReference(text: string) {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof InvalidReference) return undefined;
    throw error;
  }
}
