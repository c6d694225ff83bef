import type { Digest } from '../../src/domain/image-reference.ts';
import type { Kind } from './images.ts';
import type { Service } from './site.ts';

export interface Push {
  readonly service: Service;
  readonly kind: Kind;
  readonly digest: Digest;
  /** A delivery of it was answered with 202: from then on it must not be lost. */
  acknowledged: boolean;
}

/** What somebody puts on branches of Landfall's, and what must never reach the base branch. */
export const foreignFile = 'docker-compose.override.yml';
