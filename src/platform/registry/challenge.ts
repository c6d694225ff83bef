/** One way to authenticate that a server offers, from its `WWW-Authenticate` header (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** A scheme of its own, or one with its first parameter, or a further parameter; values are tokens or quoted strings. */
const partPattern =
  /[\s,]*(?:(?<scheme>[\w!#$%&'*+.^`|~-]+)(?=\s+[\w-]|\s*,|\s*$)(?!\s*=)\s*)?(?:(?<name>[\w-]+)\s*=\s*(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<token>[^\s,"]*)))?/gy;

/** The challenges in the order of the header; what cannot be read ends the list, because nothing after it can be trusted. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  for (const match of header.matchAll(partPattern)) {
    const { scheme, name, quoted, token } = match.groups ?? {};
    if (scheme === undefined && name === undefined) break;
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    const current = challenges.at(-1);
    if (name === undefined || current === undefined) continue;
    current.parameters[name.toLowerCase()] = quoted === undefined ? (token ?? '') : quoted.replace(/\\(.)/g, '$1');
  }
  return challenges;
}
