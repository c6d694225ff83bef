import type { IncomingHttpHeaders } from 'node:http';
import type { ImagePush } from '../domain/image-push.ts';

/** What is known of a request before its body is read. */
export interface RequestHead {
  readonly headers: IncomingHttpHeaders;
  /** What follows the receiver's path, decoded; only with `secretInPath`. */
  readonly pathSecret?: string | undefined;
  readonly query: URLSearchParams;
  /** The sender's address, as far as proxies are trusted. */
  readonly address: string;
  /** What the sender showed in its TLS handshake, or to a trusted proxy. */
  readonly certificate?: ClientCertificate | undefined;
}

export interface ClientCertificate {
  /** DNS names. */
  readonly names: readonly string[];
  /** Why its chain is not to be trusted; absent: it is. */
  readonly distrust?: string;
}

/** Headers in which proxies pass a client certificate on: RFC 9440's own; those of nginx, ingress-nginx, Apache, HAProxy; Traefik's. */
export const certificateHeaders = ['client-cert', 'x-ssl-client-cert', 'ssl-client-cert', 'x-forwarded-tls-client-cert'] as const;
export type CertificateHeader = (typeof certificateHeaders)[number];

/** Headers in which proxies say where a request came from: the usual one, and that of RFC 7239. */
export const addressHeaders = ['x-forwarded-for', 'forwarded'] as const;
export type AddressHeader = (typeof addressHeaders)[number];

/**
 * Tells whether a request is from whom it claims to be. It reads the body only if it needs it and the head rules nothing out, and takes
 * the same time for every secret.
 * @param body reads the body, once however often it is called
 */
export type Authenticate = (head: RequestHead, body: () => Promise<Buffer>) => Authenticity | Promise<Authenticity>;

export type Authenticity =
  /** `byHand`: it is a run that somebody has started by hand, and has proven that. */
  | { readonly authentic: true; readonly identity?: SenderIdentity; readonly byHand?: boolean }
  /** `reason` is for the log; it repeats nothing secret. */
  | { readonly authentic: false; readonly reason: string };

/** What the sender has proven about itself and its build. */
export type SenderIdentity = Pick<ImagePush, 'commit' | 'sourceRepository' | 'actor' | 'buildId' | 'proven'>;

/** Of who tells of an image that they have not built: only who they are. */
export function withoutBuild({ actor, proven }: SenderIdentity): SenderIdentity {
  return {
    ...(actor !== undefined && { actor }),
    ...(proven?.fields.includes('actor') && { proven: { ...proven, fields: ['actor'] } }),
  };
}

export const authentic: Authenticity = { authentic: true };

export function refused(reason: string): Authenticity {
  return { authentic: false, reason };
}

/** The token of `Authorization: Bearer TOKEN`. */
export function bearerIn({ headers }: Pick<RequestHead, 'headers'>): string | undefined {
  return /^bearer +(\S+)$/i.exec(headers.authorization?.trim() ?? '')?.[1];
}
