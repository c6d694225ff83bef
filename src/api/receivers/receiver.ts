import type { IncomingHttpHeaders } from 'node:http';
import type { ImagePush } from '../../domain/image-push.ts';
import type { ExpectedMediaType } from '../media-type.ts';

/**
 * The part of the ingress that authenticates one source's requests and turns them into image pushes. It knows nothing of services,
 * steps or workflows.
 */
export interface Receiver extends ExpectedMediaType {
  /** Name in audit log, metrics and image pushes. */
  readonly source: string;
  /** Where the source posts to. */
  readonly path: string;
  /** The source may name only one of several tags that were pushed together, so the others have to be looked up. */
  readonly namesOneOfSeveralTags: boolean;
  /** `WWW-Authenticate` of the answer to a request that is not authentic. */
  readonly challenge: string;
  /** What an authentic request carries, and where to set that up: a sentence or two for the 401. */
  readonly authenticationAdvice: string;

  /** Whether the request is the source's own. Looks at the raw bytes, before anything parses them; takes the same time for every secret. */
  authenticate(headers: IncomingHttpHeaders, body: Buffer): boolean;

  /**
   * @param request an authentic one; `body` is JSON of any shape
   * @throws Problem 400 where it is not what the source sends
   */
  parse(request: ReceivedRequest): ParsedRequest;
}

export interface ReceivedRequest {
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** ISO 8601, UTC. */
  readonly receivedAt: string;
}

export interface ParsedRequest {
  /** The source's name of the event, as far as it is known to be harmless in a log. */
  readonly event: string;
  readonly action?: string;
  readonly deliveryId: string;
  readonly pushes: readonly ImagePush[];
  /** What has moved at a forge, where the event is about that. */
  readonly progress?: ForgeProgress;
  /** Why there is neither a push nor progress; absent where there is. */
  readonly ignored?: string;
}

/** Something has moved in a deployment repository that somebody may be waiting for. Never the news itself: that is asked of the forge. */
export interface ForgeProgress {
  /** For people: `check_suite of team/deployment completed`. */
  readonly what: string;
  /** `owner/name`, as the forge writes it. */
  readonly repository: string;
  /** Of Landfall's branches, those that it is about. */
  readonly branches: readonly string[];
  /** The workflow id that Landfall itself put into the deployment that it is about. */
  readonly rollout?: string;
}
