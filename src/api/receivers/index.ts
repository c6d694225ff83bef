import { createDistributionReceiver, type DistributionSettings } from './distribution.ts';
import { createGithubReceiver, type GithubSettings } from './github.ts';
import type { Receiver } from './receiver.ts';

/** What the configuration says about each source. A source that is absent has no path. */
export interface ReceiverSettings {
  readonly github?: GithubSettings | undefined;
  readonly distribution?: DistributionSettings | undefined;
}

/**
 * The receivers that the configuration asks for.
 * @throws Error where one of them has no secret
 */
export function createReceivers({ github, distribution }: ReceiverSettings): readonly Receiver[] {
  return [
    ...(github === undefined ? [] : [createGithubReceiver(github)]),
    ...(distribution === undefined ? [] : [createDistributionReceiver(distribution)]),
  ];
}
