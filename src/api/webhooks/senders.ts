import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { canonicalAddress, forwarded, forwardedFor } from '../../http/addresses.ts';
import { certificateFromProxy, certificateOfHandshake } from '../../http/client-certificates.ts';
import type { ClientTrust } from '../../http/client-trust.ts';
import { type CertificateHeader, certificateHeaders } from '../../sources/kit/certificate-headers.ts';
import type { ClientCertificate } from '../../sources/kit/receiver.ts';
import { createIsWithin } from '../../sources/kit/settings.ts';

/** Who is at the other end of a request, as far as proxies are trusted. */
export interface Senders {
  addressOf(request: IncomingMessage): string;
  /** Undefined where the sender showed none. */
  certificateOf(request: IncomingMessage): ClientCertificate | undefined;
}

export interface SenderSettings {
  /** Addresses and networks of proxies whose word about their senders is taken. */
  readonly trustedProxies: readonly string[];
  /** The headers in which those pass client certificates on. Default: any of the known ones, but one at a time. */
  readonly certificateHeaders?: readonly CertificateHeader[];
  /** By whom client certificates are judged; absent: nobody asks for them. */
  readonly trust?: ClientTrust | undefined;
  readonly now?: () => Date;
}

export function createSenders(settings: SenderSettings): Senders {
  const { trust, certificateHeaders: allowed = certificateHeaders, now = () => new Date() } = settings;
  const hasProxies = settings.trustedProxies.length > 0;
  const isProxy = hasProxies ? createIsWithin(settings.trustedProxies) : () => false;
  // Asked several times in the course of a request; a broken connection may not know any more.
  const known = new WeakMap<IncomingMessage, string>();
  const connections = new WeakMap<Socket, string>();
  const connectionOf = ({ socket }: IncomingMessage): string | undefined => {
    const before = connections.get(socket);
    if (before !== undefined) return before;
    const address = canonicalAddress(socket.remoteAddress ?? '');
    if (address !== undefined) connections.set(socket, address);
    return address;
  };
  return {
    addressOf: (request) => {
      const before = hasProxies ? known.get(request) : connections.get(request.socket);
      if (before !== undefined) return before;
      const address = senderOf(request, connectionOf(request), isProxy) ?? 'unknown';
      if (hasProxies) known.set(request, address);
      return address;
    },
    certificateOf: (request) => {
      if (trust === undefined) return undefined;
      const passedOn = isProxy(connectionOf(request) ?? '') ? certificateFromProxy(request, trust, allowed, now()) : undefined;
      return passedOn ?? certificateOfHandshake(request, trust, now());
    },
  };
}

/**
 * Each proxy adds the address that it was reached from at the end, and passes on what stood there before, whoever wrote that. So the
 * last address that is not a proxy's is the first that cannot be made up. What is no address is nobody's: then it is the connection's.
 */
function senderOf(
  request: IncomingMessage,
  connection: string | undefined,
  isProxy: (address: string) => boolean,
): string | undefined {
  if (connection === undefined || !isProxy(connection)) return connection;
  const addresses = saidBy(request);
  const last = addresses.findLastIndex((address) => address === undefined || !isProxy(address));
  // Nothing but proxies: the request is of the outermost one itself.
  return (last === -1 ? addresses[0] : addresses[last]) ?? connection;
}

/** Proxies that know only `X-Forwarded-For` pass a sender's own `Forwarded` on, so that counts only where the other is missing. */
function saidBy({ headersDistinct }: IncomingMessage): readonly (string | undefined)[] {
  const usual = headersDistinct['x-forwarded-for'];
  if (usual !== undefined) return forwardedFor(usual.join(','));
  const standard = headersDistinct.forwarded;
  return standard === undefined ? [] : forwarded(standard.join(','));
}
