/** A machine of 64 bits that runs programs of 32 bits by itself. */
const alsoRun: Readonly<Record<string, readonly string[]>> = { 'linux/amd64': ['linux/386'] };

/**
 * What a machine runs without emulation: its own platform in every variant that is listed, and what its processor has beside.
 * @param listed all that BuildKit says it can build for: its own first, then its variants, and what is emulated
 */
export function nativeOf(listed: readonly string[]): string[] {
  const [first] = listed;
  if (first === undefined) return [];
  const own = first.split('/', 2).join('/');
  return [own, ...listed.filter((each) => each.startsWith(`${own}/`)), ...(alsoRun[own] ?? [])];
}

/** Whether a platform is among those, a variant standing for what it is of. */
export function isNative(platform: string, native: readonly string[]): boolean {
  return native.some((each) => each === platform || platform.startsWith(`${each}/`));
}
