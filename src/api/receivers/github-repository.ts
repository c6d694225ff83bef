import { InvalidReference, parseRepository, type Repository } from '../../domain/image-reference.ts';

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
 * @returns undefined where nothing tells, or what tells is no image reference
 */
export function repositoryOf(placed: PlacedPackage, sourceRepository: string | undefined): Repository | undefined {
  const url = placed.package_version?.package_url;
  if (url) return parsed(withoutTag(withoutScheme(url)));
  const registry = withoutScheme(placed.registry?.url ?? '').replace(/\/+$/, '');
  const [host = '', ...path] = registry.split('/');
  if (path.length >= 2 && !host.toLowerCase().endsWith('.pkg.github.com')) return parsed(registry);
  const owner = placed.owner?.login || placed.namespace || sourceRepository?.split('/')[0];
  return owner && placed.name ? parsed(`ghcr.io/${owner}/${placed.name}`) : undefined;
}

function withoutScheme(url: string): string {
  return url.replace(/^https?:\/\//i, '');
}

function withoutTag(reference: string): string {
  const [named = ''] = reference.split('@');
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  return colon < 0 ? named : named.slice(0, colon);
}

function parsed(name: string): Repository | undefined {
  // Without a host it would be taken for an image of Docker Hub.
  if (!name.split('/')[0]?.includes('.')) return undefined;
  try {
    return parseRepository(name.toLowerCase());
  } catch (error) {
    if (error instanceof InvalidReference) return undefined;
    throw error;
  }
}
