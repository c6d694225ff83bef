import { type Repository, writtenRepository } from '../../domain/image-reference.ts';
import { repositoryIn } from '../kit/image.ts';

/** Longer is no image's, and would take a pattern long. */
const longestUrl = 500;

/** The fields of a package by which its place in a registry can be told. */
export interface PlacedPackage {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly owner?: { readonly login?: string | undefined } | undefined;
  readonly registry?: { readonly url?: string | undefined } | undefined;
  readonly package_version?: { readonly package_url?: string | undefined } | undefined;
}

/**
 * Where an image of GitHub's registry is, from the most telling field down: `package_url` (whose own tag need not be the pushed
 * one), the registry's URL where it leads to a repository (events of 2019), else owner and name. GitHub keeps the case that people
 * typed; image references are lower case.
 * @param sourceRepository `owner/name`, whose owner stands in where the package names none
 * @returns undefined if nothing tells, or what tells is no image reference
 */
export function repositoryOf(placed: PlacedPackage, sourceRepository: string | undefined): Repository | undefined {
  const url = placed.package_version?.package_url;
  if (url) return repositoryIn(writtenRepository(url));
  const registry = withoutScheme((placed.registry?.url ?? '').slice(0, longestUrl)).replace(/\/+$/, '');
  const [host = '', ...path] = registry.split('/');
  if (path.length >= 2 && !host.toLowerCase().endsWith('.pkg.github.com')) return repositoryIn(registry);
  const owner = placed.owner?.login || placed.namespace || sourceRepository?.split('/')[0];
  return owner && placed.name ? repositoryIn(`ghcr.io/${owner}/${placed.name}`) : undefined;
}

function withoutScheme(url: string): string {
  return url.replace(/^https?:\/\//i, '');
}
