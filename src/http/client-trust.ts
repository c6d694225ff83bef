import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { messageOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';

/** Asks for client certificates, and judges them by this authority (PEM); absent: by those that Node trusts. */
export interface AsksForCertificates {
  readonly clientCertificates?: { readonly ca?: () => string };
}

/** The authorities by which client certificates are judged. A file is read again at each call: it may have been replaced. */
export type ClientTrust = NonNullable<ReturnType<typeof createClientTrust>>;

/**
 * What the receivers that ask for client certificates trust. Where a file cannot be read later on, or holds no certificate, what was
 * read before goes on, and the log says why.
 * @returns undefined if no receiver asks for one
 * @throws Error if an authority cannot be read, or two receivers trust different ones: a handshake is judged before the path is known
 */
export function createClientTrust(receivers: readonly AsksForCertificates[], log: Log) {
  const asking = receivers.flatMap(({ clientCertificates }) => clientCertificates ?? []);
  const [first] = asking;
  if (first === undefined) return undefined;
  const texts = asking.map(({ ca }) => ca && checked(ca()));
  if (new Set(texts).size > 1) {
    throw new Error(
      'receivers: expected one authority for all client certificates, found several; put them into one file and name it at each receiver',
    );
  }
  const { ca } = first;
  let [good] = texts;
  const complain = complainOnce(log, 'the authority of client certificates could not be read again; the one before goes on');
  /** @returns undefined: those that Node trusts */
  const pem = (): string | undefined => {
    try {
      good = ca && checked(ca());
      complain();
    } catch (error) {
      complain(error);
    }
    return good;
  };
  let parsed: { readonly from: string | undefined; readonly authorities: readonly X509Certificate[] } | undefined;
  const authorities = (): readonly X509Certificate[] => {
    const from = pem();
    if (parsed === undefined || parsed.from !== from) {
      const roots = () => rootCertificates.map((root) => new X509Certificate(root));
      parsed = { from, authorities: from === undefined ? roots() : certificatesIn(from) };
    }
    return parsed.authorities;
  };
  return { pem, authorities };
}

/** @returns a function that takes what went wrong, or nothing once all is right again, and warns of each reason once */
export function complainOnce(log: Log, message: string): (error?: unknown) => void {
  let complaint: string | undefined;
  return (error) => {
    const reason = error === undefined ? undefined : messageOf(error);
    if (reason !== undefined && reason !== complaint) log.warn({ reason }, message);
    complaint = reason;
  };
}

/** Node takes an empty text for "those that I trust", and passes over one that is no PEM: both would let in, or keep out, the wrong ones. */
function checked(pem: string): string {
  if (certificatesIn(pem).length === 0) {
    throw new Error('the authority of client certificates: expected a file with at least one certificate (PEM), found none');
  }
  return pem;
}

/** The certificates of a PEM text, in their order. @throws Error where one of them is damaged */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  const blocks =
    pem.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error('expected certificates in PEM, found one that is damaged; write the file again', { cause: error });
    }
  });
}
