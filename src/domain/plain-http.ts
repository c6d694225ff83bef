/** Whether a host, as URLs write it, is this machine: nobody can point such a name elsewhere, or have it from elsewhere. */
export function isLoopbackHost(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(host);
}

/** Whether what is sent to a URL can be read, and changed, by whoever is on the way. */
export function isPlainHttp(url: string | URL): boolean {
  const read = typeof url === 'string' ? URL.parse(url) : url;
  return read?.protocol === 'http:' && !isLoopbackHost(read.hostname);
}

/** What to do about it, for a place whose setting `plainHttp` allows it. */
export const plainHttpAdvice = 'use https://, or say plainHttp: true beside it, if nobody else is on that network';
