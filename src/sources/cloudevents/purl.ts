import { PackageURL } from 'packageurl-js';
import { type EventReading, readImage } from '../kit/readings.ts';
import { splitReference, type WrittenImage } from '../kit/reference-text.ts';

const longestPurl = 4096;
const expected = 'Expected a package URL such as pkg:oci/app@sha256%3A...?repository_url=registry.example.org/team/app&tag=1.0.';

/**
 * The image that a package URL of the type oci (or docker, which older tools write) names.
 * @see https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md
 */
export function readPurl(written: string | undefined): EventReading {
  const purl = parsePurl(written);
  if (purl === undefined) return { malformed: expected };
  if (purl.type === 'oci') return readOci(purl);
  return purl.type === 'docker' ? readDocker(purl) : { ignored: 'the package is not a container image' };
}

function parsePurl(written: string | undefined): PackageURL | undefined {
  if (written === undefined || written.length > longestPurl) return undefined;
  try {
    return PackageURL.fromString(written);
  } catch {
    // It throws plain errors of several kinds, each about its input.
    return undefined;
  }
}

/** Registry and path stand in `repository_url` alone; without it nobody knows where the image is. */
function readOci(purl: PackageURL): EventReading {
  const { repository_url: url, tag } = purl.qualifiers ?? {};
  if (tag === undefined) return { ignored: 'no tag was pushed' };
  if (url === undefined) return { ignored: 'the package URL has no repository_url, so its registry is unknown' };
  return readImage({ name: nameAt(url, purl.name), tag, digest: purl.version?.toLowerCase() }, expected);
}

/** The version is a tag or a digest; without `repository_url`, the registry is Docker Hub. */
function readDocker(purl: PackageURL): EventReading {
  const { repository_url: url = 'docker.io', tag } = purl.qualifiers ?? {};
  const path = [purl.namespace, purl.name].filter((segment) => segment).join('/');
  const isDigest = purl.version?.includes(':') ?? false;
  const versioned: Pick<WrittenImage, 'tag' | 'digest'> = isDigest
    ? { tag, digest: purl.version?.toLowerCase() }
    : { tag: tag ?? purl.version };
  return readImage({ name: nameAt(url, path), ...versioned }, expected);
}

/**
 * The specification's examples have the whole repository in `repository_url`, tools also leave its name out, and Harbor adds tag and digest.
 * @param name the repository's last segment, or all of its path
 */
function nameAt(url: string, name: string): string {
  const bare = withoutScheme(url);
  // Without a path, a colon begins the port.
  const whole = bare.includes('/') ? (splitReference(bare).name ?? '') : bare;
  const [host = '', ...path] = whole.split('/').filter((segment) => segment !== '');
  const hasName = `/${path.join('/')}`.toLowerCase().endsWith(`/${name.toLowerCase()}`);
  return [host, ...path, ...(hasName ? [] : [name])].join('/');
}

function withoutScheme(url: string): string {
  const end = url.indexOf('://');
  return end < 0 ? url : url.slice(end + '://'.length);
}
