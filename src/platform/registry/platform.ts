/** Names that compilers and old tools write, and Docker's own for the same; as containerd normalises them. */
const architectures: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  i386: '386',
  armhf: 'arm/v7',
  armel: 'arm/v6',
};
const systems: Readonly<Record<string, string>> = { macos: 'darwin' };
/** The variant that is meant if none is written. */
const impliedVariants: Readonly<Record<string, string>> = { arm64: 'v8', amd64: 'v1', arm: 'v7' };

/** One spelling for the same platform: `linux/arm64` for `linux/arm64/v8`, `linux/arm/v7` for `linux/arm`. */
export function normalPlatform(platform: string): string {
  const [os = '', written = '', variantWritten] = platform.toLowerCase().split('/');
  const [architecture = '', variantOfName] = (architectures[written] ?? written).split('/');
  const implied = impliedVariants[architecture];
  // `arm64/v8.0` is `arm64/v8`.
  const variant = (variantOfName || variantWritten || implied)?.replace(/^(?=\d)/, 'v').replace(/^(v\d+)\.0$/, '$1');
  // 32-bit ARM is written with its variant, the others without the one that goes without saying.
  const isSilent = variant === undefined || (variant === implied && architecture !== 'arm');
  const name = `${systems[os] ?? os}/${architecture}`;
  return isSilent ? name : `${name}/${variant}`;
}

/** The platform as an index or an image configuration has it. */
export function platformName(parts: Partial<Record<'os' | 'architecture' | 'variant', string | null | undefined>>): string {
  return normalPlatform([parts.os || 'unknown', parts.architecture || 'unknown', parts.variant].filter(Boolean).join('/'));
}

/** Of what an index has, that which is to be scanned, and so may run: all of it where no platform is named. */
export function meantPlatforms<Image extends { readonly platform: string }>(
  wanted: readonly string[],
  images: readonly Image[],
): readonly Image[] {
  return wanted.length === 0 ? images : images.filter(({ platform }) => isMeant(wanted, platform));
}

/** Whether a runtime of one of the wanted platforms may choose an image of this one. `linux/arm64` means all of its variants. */
export function isMeant(wanted: readonly string[], platform: string): boolean {
  const found = normalPlatform(platform);
  return wanted.some((each) => {
    const normal = normalPlatform(each);
    return normal === found || (each.split('/').length === 2 && withoutVariant(normal) === withoutVariant(found));
  });
}

function withoutVariant(platform: string): string {
  return platform.split('/', 2).join('/');
}
