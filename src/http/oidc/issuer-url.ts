/** Whether a URL is of this machine, where plain HTTP can be trusted. */
export function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/.test(hostname);
}

/** An issuer's keys are only as good as the way they come: `https://`, without credentials, query and fragment. */
export function isIssuerUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password, search, hash } = new URL(url);
  return (protocol === 'https:' || isLoopback(url)) && `${username}${password}${search}${hash}` === '';
}
