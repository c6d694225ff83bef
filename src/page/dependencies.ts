import type { IncomingMessage } from 'node:http';
import type { Client } from '@temporalio/client';
import type { Context } from 'koa';
import type { Audit } from '../domain/audit.ts';
import type { Log } from '../domain/log.ts';
import type { ImageExplanation } from '../operations/explain-image.ts';
import type { commandLane } from '../operations/lane.ts';
import type { ConfiguredService } from '../operations/overview.ts';
import type { LoginWays } from './login.ts';
import type { FirstPush } from './now.ts';
import type { UnknownViewer, Viewer } from './view.ts';

export interface PageDependencies {
  readonly client: Client;
  readonly log: Log;
  readonly audit: Audit;
  /** For decisions that need to know what is configured. */
  readonly configuration: Parameters<typeof commandLane>[0]['configuration'];
  /** As the configuration says now, as all else that is asked for here: it may be read again. */
  readonly configured: () => readonly ConfiguredService[];
  /** The configuration of one service as it was resolved, as YAML. */
  readonly describeService: (service: string) => string | undefined;
  /** What a push of a tag of this service would come to; undefined where its configuration names no image. */
  readonly explainTag?: (service: string, tag: string) => Promise<ImageExplanation | undefined>;
  readonly firstPush: () => FirstPush;
  /** Where Temporal's own page shows a workflow. */
  readonly linkTo?: (workflow: string) => string;
  /** The path below which a proxy shows the page. */
  readonly baseOf: (request: IncomingMessage) => string;
  /** As browsers have the listener now, where that is configured. */
  readonly ownUrl: () => string | undefined;
  /** Who asks, or why nobody is known: then they have to log in. */
  readonly viewerOf: (context: Context) => Promise<Viewer | UnknownViewer>;
  /** Whether who asked this may look still. Of the answer, which has begun, nothing is touched: no login is prolonged. */
  readonly mayLookNow: (request: IncomingMessage) => Promise<boolean>;
  readonly loginWays: () => LoginWays;
}
