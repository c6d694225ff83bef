import { inert } from './inert-text.ts';
import type { ImageIdentity } from './outcomes.ts';

/** The message of every commit that Landfall makes; the trailer tells it from a person's. */
export function commitMessage(service: string, image: ImageIdentity, rollout: string): string {
  return messageOf(`chore: update ${inert(service)} image`, service, image, rollout);
}

/** The message of the commit that takes an outdated proposal back: the base branch has the image already. */
export function withdrawalMessage(service: string, image: ImageIdentity, rollout: string): string {
  return messageOf(`chore: keep ${inert(service)} image`, service, image, rollout);
}

function messageOf(subject: string, service: string, { repository, tag, digest }: ImageIdentity, rollout: string): string {
  return [
    subject,
    '',
    `Service: ${inert(service)}`,
    `Image: ${repository}:${tag}`,
    `Digest: ${digest}`,
    '',
    `Landfall-Rollout: ${inert(rollout, 1_000)}`,
    '',
  ].join('\n');
}

/** The rollout that made a commit, or undefined where a person did: git reads trailers from the last paragraph only. */
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
