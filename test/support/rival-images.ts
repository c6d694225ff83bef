import type { Digest } from '../../src/domain/image-reference.ts';
import type { PlatformDigests } from '../../src/domain/outcomes.ts';
import { hostPlatform, type ImageOptions, pushIndex } from './images.ts';
import type { Registry } from './registry.ts';
import { registryClient, repositoryAt } from './registry-client.ts';

/**
 * Pushes an index with two images for this host, of which Docker chooses the first: the second is the one that somebody took for the
 * image. Verify refuses such an index; a host that meets one all the same has to notice.
 * @returns the index, and what was scanned of it
 */
export async function pushRivals(
  registry: Registry,
  name: string,
  options: ImageOptions,
): Promise<{ digest: Digest; platforms: readonly PlatformDigests[] }> {
  const images = ['chosen', 'scanned'].map((which) => ({ ...options, labels: { ...options.labels, which } }));
  const { digest, children } = await pushIndex(registry, name, 'latest', images);
  const scanned = children[1];
  if (scanned === undefined) throw new Error('expected two images');
  const manifest = await registryClient().manifest(repositoryAt(registry, name), scanned);
  if (manifest?.kind !== 'manifest') throw new Error(`expected an image manifest, found ${manifest?.kind}`);
  return { digest, platforms: [{ platform: hostPlatform(), digest: scanned, config: manifest.config.digest }] };
}
