/** A base for addresses that come without one; never asked. */
const anyBase = 'http://registry.invalid';

/**
 * The query (`?n=…&last=…`) of the next page from a `Link` header (RFC 8288), or undefined where this is the last one. Only the query is
 * taken: registries behind a proxy often name a host or a path in it under which nobody reaches them.
 */
export function nextPage(header: string | null): string | undefined {
  for (const [, address, parameters] of (header ?? '').matchAll(/<([^<>]*)>([^<]*)/g)) {
    if (!/;\s*rel\s*=\s*"?next"?/i.test(parameters ?? '') || !URL.canParse(address ?? '', anyBase)) continue;
    const { search } = new URL(address ?? '', anyBase);
    return search === '' ? undefined : search;
  }
  return undefined;
}
