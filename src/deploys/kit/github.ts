import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '../../domain/failures.ts';
import { formatReference, type ImageReference, tryParseReference } from '../../domain/image-reference.ts';
import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import { githubRepository, text } from '../../settings/scalars.ts';
import { optional } from '../../settings/wording.ts';
import type { DeployContext, ResolvedStage, Target } from '../deploy.ts';
import { refused } from './refusals.ts';

/** What deploys have in common that GitHub is asked for. */

export const askedAt = {
  repository: optional(githubRepository, 'owner/name. Default: that of the change.'),
  ref: optional(text('a branch or tag'), 'Default: the base of the change, else main.'),
};

export function refOf({ ref }: { readonly ref?: string }, { change }: ResolvedStage): string {
  return ref ?? change?.base ?? 'main';
}

export interface GitHubDeployerOptions extends Pick<DeployContext, 'clientFor'> {
  readonly polling?: Polling;
}

/** GitHub's clock and Temporal's may differ by so much. */
export const clockSkewMs = 10_000;

/** What somebody else is asked to deploy. A tag may be unknown of what ran before. */
export type WantedImage = ImageReference & Pick<ImageIdentity, 'digest'>;

/** What is known to run once a deploy of it was successful. */
export function runningOf(name: string, image: WantedImage): RunningImage {
  return { name, reference: formatReference(image), digest: image.digest };
}

/** The image to go back to. @throws Refusal `NothingBefore`, or `DeployRefused` if nobody knows its digest */
export function imageBefore({ stage, plan }: Pick<Target, 'stage' | 'plan'>, [first]: readonly RunningImage[]): WantedImage {
  if (first === undefined) {
    throw new Refusal(
      'NothingBefore',
      `nobody knows what ${stage.name} of ${plan.service} ran before: deploy what it should run`,
    );
  }
  const parsed = tryParseReference(first.reference);
  const digest = first.digest ?? parsed?.digest;
  if (parsed !== undefined && digest !== undefined) return { ...parsed, digest };
  throw refused(
    `expected an image with its digest to go back to, found '${first.reference.slice(0, 200)}' in ${stage.name} of ${plan.service}: deploy what it should run`,
  );
}

/** What GitHub does not take was not begun; any other error stays what it is. */
export function notBegun(error: unknown, wording: (why: string) => string): unknown {
  return error instanceof Refusal && error.type === 'ForgeRefused' ? refused(wording(error.message), error) : error;
}

export interface Polling {
  /** Between the first two looks. */
  readonly firstMs: number;
  /** It grows up to this. */
  readonly longestMs: number;
}

/** A deploy takes minutes, and GitHub grants 5,000 requests an hour for everything that Landfall does. */
export const usualPolling: Polling = { firstMs: 5_000, longestMs: 30_000 };

/**
 * Looks until there is an answer.
 * @param until milliseconds since 1970; asked after each look
 * @returns undefined if there was none by then
 * @throws what aborted the signal
 */
export async function poll<Answer>(
  look: () => Promise<Answer | undefined>,
  until: () => number,
  { firstMs, longestMs }: Polling,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  for (let waitMs = firstMs; ; waitMs = Math.min(longestMs, waitMs * 1.5)) {
    signal.throwIfAborted();
    const answer = await look();
    if (answer !== undefined) return answer;
    const leftMs = until() - Date.now();
    if (leftMs <= 0) return undefined;
    await pause(Math.min(waitMs, leftMs), undefined, { signal });
  }
}
