/**
 * The error of a connection that broke, or of an answer that did not come in time. `fetch` itself says only "fetch failed" or
 * "terminated"; what happened is in the cause.
 */
export function brokenConnection(what: string, error: unknown, timeoutMs: number): Error {
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return new Error(`${what} was not answered within ${timeoutMs / 1_000} s`, { cause: error });
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const reason = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.message) : String(cause);
  const advice = adviceFor(reason);
  return new Error(`${what} failed: ${reason}${advice === undefined ? '' : ` (${advice})`}`, { cause: error });
}

/** What to do about TLS. OpenSSL's own words say it to nobody. */
function adviceFor(code: string): string | undefined {
  if (/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/.test(code) || /wrong version number/.test(code)) {
    return 'no TLS is spoken there: correct the address, or set plainHttp: true for the host under registries';
  }
  if (code === 'CERT_HAS_EXPIRED') return "the server's certificate has expired: renew it there";
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return "the server's certificate is for another host name: correct the address, or the certificate";
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(code)) {
    return "nobody here knows who issued the server's certificate: let NODE_EXTRA_CA_CERTS name a file with that authority's certificate";
  }
  return undefined;
}
