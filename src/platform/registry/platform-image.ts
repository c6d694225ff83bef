import { type Digest, formatReference, type Repository } from '../../domain/image-reference.ts';
import type { ImageConfig, SingleManifest } from './manifest.ts';
import { platformName } from './platform.ts';
import type { Registry } from './registry.ts';

/** An image for one platform. */
export interface PlatformImage {
  /** In the spelling of `normalPlatform`. */
  readonly platform: string;
  readonly manifest: SingleManifest;
  readonly config?: ImageConfig;
}

/** Something that a manifest names is not there (yet): registries are not always consistent at once. */
export class MissingPart extends Error {
  /** What is missing, and what names it; for messages. */
  readonly part: string;

  constructor(repository: Repository, digest: Digest, namedBy: Digest) {
    const part = `${formatReference({ repository, digest })}, which ${namedBy} names,`;
    super(`${part} is not in the registry`);
    this.name = 'MissingPart';
    this.part = part;
  }
}

/** An image whose platform only its own configuration says. @throws MissingPart */
export async function ownImage(registry: Registry, repository: Repository, manifest: SingleManifest): Promise<PlatformImage> {
  const config = await configOf(registry, repository, manifest);
  return { platform: platformName(config), manifest, config };
}

/** @throws MissingPart */
export async function configOf(
  registry: Registry,
  repository: Repository,
  { config, digest }: SingleManifest,
): Promise<ImageConfig> {
  const found = await registry.config(repository, config.digest);
  if (found === undefined) throw new MissingPart(repository, config.digest, digest);
  return found;
}
