/** What is said by programs that reach for another machine, and find none. */
const symptoms =
  /ENETUNREACH|EAI_AGAIN|ENOTFOUND|network is unreachable|no route to host|resolve host|name resolution|no such host|name or service not known|bad address|server misbehaving|UnknownHostException/i;

/** Advice where a container seems to look for something outside of its networks. A wrong guess costs a reader a moment. */
export function wayOutHint(network: 'full' | 'none' | undefined, log: string, section: string): string {
  if (network === 'full' || !symptoms.test(log)) return '';
  return `. It looks for something that its network does not have: if it cannot do without, point it elsewhere by ${section}.env, or set ${section}.network to full, with which it reaches all that containers of this host reach`;
}
