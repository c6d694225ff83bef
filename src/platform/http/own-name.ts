import { isLoopbackHost } from '../../domain/plain-http.ts';

/*
 * A page in a browser can give its own host name the address of this machine (DNS rebinding), and then reads what listens here as if it
 * were its own site. The browser still names that host in `Host`, so a listener that is not for the world answers only to names that no
 * stranger can have.
 */

const hostPattern = /^(\[[0-9a-f:.]+\]|[^:[\]\s/@]+)(?::\d{1,5})?$/i;

/** The host of a `Host` header, without its port, in small letters; undefined if it is none. */
function hostOf(header: string): string | undefined {
  return hostPattern.exec(header)?.[1]?.toLowerCase();
}

/** An address is no name that could be rebound, and in one without a dot nobody outside of the own network can put anything. */
function isOfOwnNetwork(host: string): boolean {
  return !host.includes('.') || host.startsWith('[') || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(host);
}

/** What of a request tells whom its sender believes to talk to. */
export interface AddressedRequest {
  /** Each as often as it was sent. */
  readonly headersDistinct: Readonly<Record<string, readonly string[] | undefined>>;
}

/**
 * @param reach `loopback`: reached on this machine only; `network`: perhaps by others of the own network, by address or short name
 * @param names that were configured, in any letters
 * @returns whether a request is meant for a listener that is not for the world
 */
export function createIsForUs(reach: 'loopback' | 'network', names: readonly string[] = []) {
  const own = new Set(names.map((name) => name.toLowerCase()));
  const isOurs = (host: string | undefined): boolean =>
    host !== undefined && (own.has(host) || isLoopbackHost(host) || (reach === 'network' && isOfOwnNetwork(host)));
  return ({ headersDistinct: { host = [], origin } }: AddressedRequest): boolean => {
    if (host.length !== 1 || !isOurs(hostOf(host[0] ?? ''))) return false;
    // Another site's page that sends a form, or asks for what it may not read.
    return origin === undefined || origin.every((site) => isOurs(hostOf(/^https?:\/\/(.+)$/.exec(site)?.[1] ?? '')));
  };
}
