/** Names that compilers and old tools write, and Docker's own for the same; as containerd normalises them. */
const architectures: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  i386: '386',
  armhf: 'arm',
  armel: 'arm/v6',
};
/** The variant that is meant where none is written. */
const impliedVariants: Readonly<Record<string, string>> = { arm64: 'v8', amd64: 'v1', arm: 'v7' };

/**
 * `os/arch` or `os/arch/variant` in one spelling: `linux/arm64` for `linux/arm64/v8`, `linux/arm/v7` for `linux/arm`. Platforms are the
 * same exactly where these texts are.
 */
export function normalPlatform(platform: string): string {
  const [os = '', written = '', variantWritten] = platform.toLowerCase().split('/');
  const [architecture = '', variantOfName] = (architectures[written] ?? written).split('/');
  const implied = impliedVariants[architecture];
  const variant = (variantWritten || variantOfName || implied)?.replace(/^(?=\d)/, 'v');
  // 32-bit ARM is written with its variant, the others without the one that goes without saying.
  const isSilent = variant === undefined || (variant === implied && architecture !== 'arm');
  return isSilent ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** The platform as an index or an image configuration has it. */
export function platformName(parts: {
  readonly os?: string | null | undefined;
  readonly architecture?: string | null | undefined;
  readonly variant?: string | null | undefined;
}): string {
  return normalPlatform([parts.os || 'unknown', parts.architecture || 'unknown', parts.variant].filter(Boolean).join('/'));
}
