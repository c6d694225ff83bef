import type { Client } from '@temporalio/client';
import type { Configuration } from '../../../config/configuration.ts';
import type { Audit } from '../../../domain/audit.ts';
import type { Log } from '../../../domain/log.ts';
import type { ExplanationInput, ImageExplanation } from '../../../operations/index.ts';
import type { EventFeed } from './event-feed.ts';

/** What the API is made with. */
export interface ApiDependencies {
  readonly client: Client;
  /** As it is now: it may be read again. */
  readonly configuration: () => Configuration;
  readonly feed: EventFeed;
  /** What a push would come to: asks registries. */
  readonly explain: (input: ExplanationInput) => Promise<ImageExplanation>;
  readonly audit: Audit;
  readonly log: Log;
}
