import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { messageOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';
import { certificatesIn } from './pem.ts';

/** Asks for client certificates, and judges them by this authority (PEM); absent: by those that Node trusts. */
export interface AsksForCertificates {
  readonly clientCertificates?: { readonly ca?: () => string };
}

/** The authorities by which client certificates are judged. A file is read again at each call: it may have been replaced. */
export interface ClientTrust {
  /** PEM; undefined: those that Node trusts. */
  pem(): string | undefined;
  authorities(): readonly X509Certificate[];
}

/**
 * What the receivers that ask for client certificates trust. Where a file cannot be read later on, or holds no certificate, what was
 * read before goes on, and the log says why.
 * @returns undefined if no receiver asks for one
 * @throws Error if an authority cannot be read, or two receivers trust different ones: a handshake is judged before the path is known
 */
export function createClientTrust(receivers: readonly AsksForCertificates[], log: Log): ClientTrust | undefined {
  const asking = receivers.flatMap(({ clientCertificates }) => clientCertificates ?? []);
  const [first] = asking;
  if (first === undefined) return undefined;
  const texts = asking.map(({ ca }) => (ca === undefined ? undefined : checked(ca())));
  if (new Set(texts).size > 1) {
    throw new Error(
      'receivers: expected one authority for all client certificates, found several; put them into one file and name it at each receiver',
    );
  }
  return createTrust(first.ca, log);
}

function createTrust(ca: (() => string) | undefined, log: Log): ClientTrust {
  let good = ca === undefined ? undefined : checked(ca());
  let complaint: string | undefined;
  const pem = (): string | undefined => {
    if (ca === undefined) return undefined;
    try {
      good = checked(ca());
      complaint = undefined;
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== complaint)
        log.warn({ reason }, 'the authority of client certificates could not be read again; the one before goes on');
      complaint = reason;
    }
    return good;
  };
  let parsed: { readonly from: string | undefined; readonly authorities: readonly X509Certificate[] } | undefined;
  const authorities = (): readonly X509Certificate[] => {
    const from = pem();
    if (parsed === undefined || parsed.from !== from) {
      parsed = {
        from,
        authorities: from === undefined ? rootCertificates.map((root) => new X509Certificate(root)) : certificatesIn(from),
      };
    }
    return parsed.authorities;
  };
  return { pem, authorities };
}

/** Node takes an empty text for "those that I trust", and passes over one that is no PEM: both would let in, or keep out, the wrong ones. */
function checked(pem: string): string {
  if (certificatesIn(pem).length === 0) {
    throw new Error('the authority of client certificates: expected a file with at least one certificate (PEM), found none');
  }
  return pem;
}
