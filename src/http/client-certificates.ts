import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type { CertificateHeader, ClientCertificate } from './authentication.ts';
import { detailsOf, distrustOf, expired, notYetValid, outOfDate } from './certificate-chain.ts';
import type { ClientTrust } from './client-trust.ts';

/** Client certificates of requests: from the handshake with the sender itself, or from what a proxy says about its own. */

/** @returns undefined where the sender showed none */
export function certificateOfHandshake(request: IncomingMessage, trust: ClientTrust, now: Date): ClientCertificate | undefined {
  const { socket } = request;
  if (!(socket instanceof TLSSocket)) return undefined;
  const [certificate, ...others] = shownIn(socket);
  if (certificate === undefined) return undefined;
  // That of the handshake: a connection (or a resumed session) may outlive what it was about.
  if (socket.authorized) return judged(certificate, outOfDate(certificate, now));
  // Declared an Error; it is the name of OpenSSL's verdict (X509_V_ERR_*, without that beginning).
  const verdict = String(socket.authorizationError ?? 'UNKNOWN');
  // It is for servers alone, or worse: OpenSSL says no more, so all of it is judged once more.
  if (verdict === 'INVALID_PURPOSE') return judged(certificate, distrustOf(certificate, others, trust.authorities(), now));
  const reason = /^[A-Z_]+$/.test(verdict) ? verdict : 'for a reason that is not known';
  return judged(certificate, verdicts[verdict] ?? `its chain could not be verified (${reason})`);
}

/**
 * The certificate, and what came along with it; of a resumed session only the first is left. (Node's `getPeerX509Certificate` takes them
 * out of the chain that it reads them from, so it must not be used beside this.)
 */
function shownIn(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.every(({ fingerprint256 }) => fingerprint256 !== next?.fingerprint256)) {
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}

const notIssued = 'no trusted authority has issued it';
const verdicts: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: expired,
  CERT_NOT_YET_VALID: notYetValid,
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its chain ends in an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT: notIssued,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: notIssued,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: notIssued,
  INVALID_CA: 'its issuer is no authority',
  PATH_LENGTH_EXCEEDED: 'its chain is longer than an authority in it allows',
};

/**
 * What a trusted proxy says about its sender's certificate, judged here once more.
 * @param allowed the headers that the proxy sets itself, whatever its sender sent: a certificate is public, so anybody may send one along
 * @returns undefined where it says nothing
 */
export function certificateFromProxy(
  request: IncomingMessage,
  trust: ClientTrust,
  allowed: readonly CertificateHeader[],
  now: Date,
): ClientCertificate | undefined {
  const present = allowed.filter((name) => (request.headersDistinct[name]?.[0] ?? '') !== '');
  const [name] = present;
  if (name === undefined) return undefined;
  const [value = '', ...others] = request.headersDistinct[name] ?? [];
  // Whoever sends one along through a proxy that adds its own must not have a choice.
  if (present.length > 1 || others.length > 0) return { names: [], distrust: 'the proxy passed more than one on' };
  const [leaf, ...intermediates] = certificatesOf(name, value, request) ?? [];
  if (leaf === undefined) return { names: [], distrust: `what the proxy passed on in ${name} is no certificate` };
  return judged(leaf, distrustOf(leaf, intermediates, trust.authorities(), now));
}

/** @returns undefined where any of it is no certificate */
function certificatesOf(name: CertificateHeader, value: string, request: IncomingMessage): X509Certificate[] | undefined {
  try {
    // RFC 9440. In all others the certificate comes first, and intermediates may follow it.
    if (name !== 'client-cert') return certificatesInHeader(value);
    const chain = request.headersDistinct['client-cert-chain']?.join(',') ?? '';
    return [byteSequence(value), ...(chain.trim() === '' ? [] : chain.split(',').map(byteSequence))];
  } catch {
    // OpenSSL's words for what is wrong with somebody's bytes help nobody.
    return undefined;
  }
}

/** A byte sequence of RFC 8941: base64 of the DER between colons. */
function byteSequence(item: string): X509Certificate {
  const [, base64] = /^\s*:([A-Za-z0-9+/]+={0,2}):\s*$/.exec(item) ?? [];
  if (base64 === undefined) throw new TypeError('expected a byte sequence');
  return new X509Certificate(Buffer.from(base64, 'base64'));
}

/**
 * PEM, URL-encoded (nginx: `$ssl_client_escaped_cert`) or with blanks for its line ends (Apache), or just the base64 of it, of several
 * with commas between them (Traefik: `pem: true`, as it is or URL-encoded; HAProxy: `ssl_c_der,base64`).
 */
function certificatesInHeader(value: string): X509Certificate[] {
  const text = value.includes('%') ? decodeURIComponent(value) : value;
  const bare = text.replace(/-----BEGIN CERTIFICATE-----/g, ',').replace(/-----END CERTIFICATE-----/g, ',');
  const blocks = bare
    .split(',')
    .map((block) => block.replace(/\s+/g, ''))
    .filter((block) => block !== '');
  if (!blocks.every((block) => /^[A-Za-z0-9+/]+={0,2}$/.test(block))) throw new TypeError('expected base64');
  return blocks.map((block) => new X509Certificate(Buffer.from(block, 'base64')));
}

function judged(certificate: X509Certificate, distrust: string | undefined): ClientCertificate {
  return { names: detailsOf(certificate)?.names ?? [], ...(distrust !== undefined && { distrust }) };
}
