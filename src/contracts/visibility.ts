/**
 * A text as Temporal's visibility queries take one, whatever is in it. In them, unlike in standard SQL, a backslash escapes what follows: of one
 * that is left as it is, the literal would not end where it should.
 */
export function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
