import type { IncomingHttpHeaders } from 'node:http';
import type { RequestOutcome } from '../../domain/audit.ts';
import type { ImagePush } from '../../domain/image-push.ts';
import type { ExpectedMediaType } from '../../http/media-type.ts';

/**
 * The part of the ingress that authenticates one source's requests and turns them into image pushes. It knows nothing of services,
 * steps or workflows.
 */
export interface Receiver extends ExpectedMediaType {
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
  readonly authentication: Authentication;
  /** The log's words for a request that is not authentic; default: `a request was refused: it is not authentic`. */
  readonly refusedInLog?: string;
  /** Status codes that senders of this source expect in place of ours. */
  readonly statuses?: Partial<Readonly<Record<RequestOutcome, number>>>;
  /** The listener has to ask for client certificates, and judges them by this authority (PEM); absent: by those that Node trusts. */
  readonly clientCertificates?: { readonly ca?: () => string };

  /**
   * @param request an authentic one; `body` is JSON of any shape
   * @throws Problem 400 where it is not what the source sends
   */
  parse(request: ReceivedRequest): ParsedRequest;
}

/** What is known of a request before its body is read. */
export interface RequestHead {
  readonly headers: IncomingHttpHeaders;
  /** What follows the receiver's path, decoded; only with `secretInPath`. */
  readonly pathSecret?: string;
  readonly query: URLSearchParams;
  /** The sender's address, as far as proxies are trusted. */
  readonly address: string;
  /** What the sender showed in its TLS handshake, or to a trusted proxy. */
  readonly certificate?: ClientCertificate;
}

export interface ClientCertificate {
  /** Common name and DNS names. */
  readonly names: readonly string[];
  /** Why its chain is not to be trusted; absent: it is. */
  readonly distrust?: string;
}

/** Whether a request is the source's own: by what its head carries, or by its bytes. Takes the same time for every secret. */
export type Authentication =
  | { readonly covers: 'head'; verify(head: RequestHead): Verdict | Promise<Verdict> }
  | {
      readonly covers: 'body';
      /** What the head already rules out, so that the body need not be read. */
      precheck(head: RequestHead): Verdict;
      verify(head: RequestHead, body: Buffer): Verdict | Promise<Verdict>;
    };

export type Verdict =
  | { readonly authentic: true; readonly identity?: Identity }
  /** `reason` is for the log; it repeats nothing secret. */
  | { readonly authentic: false; readonly reason: string };

/** What the sender has proven about itself. */
export type Identity = Pick<ImagePush, 'commit' | 'sourceRepository' | 'actor' | 'buildId'>;

export interface ReceivedRequest {
  readonly headers: IncomingHttpHeaders;
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly identity: Identity;
  /** ISO 8601, UTC. */
  readonly receivedAt: string;
}

/** Without a tag, something was pushed to the repository, and every followed tag of it has to be looked up. */
export type ReceivedPush = Omit<ImagePush, 'tag'> & Partial<Pick<ImagePush, 'tag'>>;

export interface ParsedRequest {
  /** The source's name of the event, as far as it is known to be harmless in a log. */
  readonly event: string;
  readonly action?: string;
  readonly deliveryId: string;
  readonly pushes: readonly ReceivedPush[];
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
