/**
 * Writes the first lines of each second, and then how many others there were: what strangers can cause by the thousand must not fill a
 * disk, nor cost more than it is worth.
 */
export function thinLines<Fields>(
  { most, everyMs = 1_000 }: { readonly most: number; readonly everyMs?: number | undefined },
  write: (fields: Fields) => void,
  tellOmitted: (omitted: number) => void,
): (fields: Fields) => void {
  let [written, omitted] = [0, 0];
  const settle = (): void => {
    if (omitted > 0) tellOmitted(omitted);
    [written, omitted] = [0, 0];
  };
  return (fields) => {
    if (written === most) {
      omitted += 1;
      return;
    }
    if (written === 0) setTimeout(settle, everyMs).unref();
    written += 1;
    write(fields);
  };
}
