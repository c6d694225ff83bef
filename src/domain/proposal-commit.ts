import { inert } from './inert-text.ts';
import type { ImageIdentity } from './outcomes.ts';
import type { Waiver } from './rollout-state.ts';
import { waiverText } from './rollout-text.ts';

/**
 * The message of every commit that Landfall makes. The trailer is for people, who may write it as well: it proves nothing.
 * @param skipped what was skipped so far
 */
export function commitMessage(service: string, image: ImageIdentity, rollout: string, skipped: readonly Waiver[] = []): string {
  return messageOf(`chore: update ${inert(service)} image`, service, image, rollout, skipped);
}

/** The message of the commit that takes an outdated proposal back: the base branch has the image already. */
export function withdrawalMessage(service: string, image: ImageIdentity, rollout: string): string {
  return messageOf(`chore: keep ${inert(service)} image`, service, image, rollout);
}

/** The message of the commit that puts back what stood there before an image that is rolled back. */
export function rollbackMessage(service: string, image: ImageIdentity, rollout: string): string {
  return messageOf(`revert: roll back ${inert(service)} image`, service, image, rollout);
}

/** The first line of the commit that merges a proposal. */
export function mergeTitle(service: string, image: ImageIdentity, isRollback: boolean): string {
  return isRollback
    ? `revert: roll back ${inert(service)} from ${image.tag}`
    : `chore: update ${inert(service)} image to ${image.tag}`;
}

/**
 * What stands below it. The second trailer names the head that was merged: a rollout merges one proposal a stage, so its own name does not
 * tell them apart.
 */
export function mergeMessage(service: string, image: ImageIdentity, rollout: string, head: string): string {
  const message = messageOf('', service, image, rollout);
  return `${message.trim()}\nLandfall-Head: ${head}\n`;
}

/** The head of the proposal that a commit says it has merged. */
export function headMergedBy(message: string): string | undefined {
  if (rolloutOfCommit(message) === undefined) return undefined;
  return /^Landfall-Head: ([0-9a-f]{40,64})\s*$/m.exec(
    message
      .trimEnd()
      .split(/\r?\n\s*\r?\n/)
      .at(-1) ?? '',
  )?.[1];
}

function messageOf(
  subject: string,
  service: string,
  { repository, tag, digest }: ImageIdentity,
  rollout: string,
  skipped: readonly Waiver[] = [],
): string {
  return [
    subject,
    '',
    `Service: ${inert(service)}`,
    `Image: ${repository}:${tag}`,
    `Digest: ${digest}`,
    ...skipped.map((waiver) => `Skipped: ${inert(waiverText(waiver), 700)}`),
    '',
    `Landfall-Rollout: ${inert(rollout, 1_000)}`,
    '',
  ].join('\n');
}

/** The rollout that a commit says it was made by: git reads trailers from the last paragraph only. */
export function rolloutOfCommit(message: string): string | undefined {
  const paragraphs = message
    .replaceAll('\r\n', '\n')
    .trimEnd()
    .split(/\n\s*\n/);
  if (paragraphs.length < 2) return undefined;
  return /^Landfall-Rollout: (\S+)\s*$/m.exec(paragraphs.at(-1) ?? '')?.[1];
}

/** Whether a message of ours is about this tag, with whatever digest. */
export function isAboutTag(message: string, { repository, tag }: ImageIdentity): boolean {
  return message.split(/\r?\n/).includes(`Image: ${repository}:${tag}`);
}
