import type { IncomingHttpHeaders } from 'node:http';
import type { RequestOutcome } from '../../domain/audit.ts';
import type { ImagePush } from '../../domain/image-push.ts';
import type { Authenticate } from '../../http/authentication.ts';
import type { AsksForCertificates } from '../../http/client-trust.ts';
import type { ExpectedMediaType } from '../../http/media-type.ts';

/**
 * The part of the ingress that authenticates one source's requests and reads the pushed images in them. It knows nothing of services,
 * steps or workflows.
 */
export interface Receiver extends ExpectedMediaType, AsksForCertificates {
  /** Name in audit log, metrics and image pushes. */
  readonly source: string;
  /** Where the source posts to. */
  readonly path: string;
  /** `PATH/SECRET` is taken too: for sources that can send no header. */
  readonly secretInPath?: boolean;
  /** The source may name only one of several tags that were pushed together, so the others have to be looked up. */
  readonly namesOneOfSeveralTags: boolean;
  /** `WWW-Authenticate` of the answer to a request that is not authentic. */
  readonly challenge: string;
  /** What an authentic request carries, and where to set that up: a sentence or two for the 401. */
  readonly authenticationAdvice: string;
  readonly authenticate: Authenticate;
  /** Headers of the source that hold no secret, in lower case: the log of requests (level debug) shows them. */
  readonly shownHeaders?: readonly string[];
  /** The log's words for a request that is not authentic; default: `a request was refused: it is not authentic`. */
  readonly refusedInLog?: string;
  /** Status codes that senders of this source expect in place of ours. */
  readonly statuses?: Partial<Readonly<Record<RequestOutcome, number>>>;

  /**
   * @param request an authentic one; `body` is JSON of any shape
   * @throws Problem 400 if it is not what the source sends
   */
  parse(request: AuthenticRequest): ParsedRequest;
}

export interface AuthenticRequest {
  readonly headers: IncomingHttpHeaders;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

/** What a source says of one push. Without a tag, the registry has to be asked for every followed tag of the repository. */
export type PushedImage = Pick<ImagePush, 'repository' | 'digest' | 'commit' | 'sourceRepository' | 'actor' | 'buildId'> &
  /** `deliveryId`: the event's own, in a request of several events. */
  Partial<Pick<ImagePush, 'tag' | 'deliveryId'>>;

export interface ParsedRequest {
  /** The source's name of the event, as far as it is known to be harmless in a log. */
  readonly event: string;
  readonly action?: string;
  readonly deliveryId: string;
  readonly images: readonly PushedImage[];
  /** What has moved at a forge, if the event is about that. */
  readonly progress?: ForgeProgress;
  /** Why there is neither an image nor progress; absent if there is. */
  readonly ignored?: string;
}

/** Something has moved in a deployment repository that a rollout may wait for. Only a hint: the rollout asks the forge itself. */
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
