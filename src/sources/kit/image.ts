import { isImageConfig } from '../../domain/image-config.ts';
import { InvalidReference, parseRepository, type Repository, writtenRepository } from '../../domain/image-reference.ts';

/** Names of images as senders write them. */

/** A reference that a sender took apart, or did not; nothing of it is known to be valid. */
export interface WrittenImage {
  /** `registry/path`; a scheme before it and slashes after it do not matter. */
  readonly name: string | undefined;
  readonly tag: string | undefined;
  readonly digest?: string | undefined;
}

/** A name has at most 255 characters; this leaves room for a scheme. Longer text is refused before any pattern sees it. */
const longestName = 300;

/**
 * A repository as a sender wrote it: a scheme before it and slashes after it are left out, and capital letters are made small.
 * @returns undefined if it is none, or names no host (it would be taken for one of Docker Hub)
 */
export function repositoryIn(name: string | undefined): Repository | undefined {
  if (name === undefined || name.length > longestName) return undefined;
  const bare = asciiLowerCase(
    name
      .trim()
      .replace(/^[a-z]+:\/\//i, '')
      .replace(/\/+$/, ''),
  );
  const [host = '', ...path] = bare.split('/');
  if (path.length === 0 || !(/[.:]/.test(host) || host === 'localhost')) return undefined;
  try {
    return parseRepository(bare);
  } catch (error) {
    if (error instanceof InvalidReference) return undefined;
    throw error;
  }
}

/** Some letters of other alphabets become ASCII ones in lower case, so that they would pass for somebody else's name: they stay. */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (capitals) => capitals.toLowerCase());
}

/** Takes `name[:tag][@digest]` apart. A colon after the last slash begins the tag; one before it belongs to the registry's port. */
export function splitReference(written: string | undefined): WrittenImage {
  if (written === undefined) return { name: undefined, tag: undefined };
  const name = writtenRepository(written);
  const [tagged = ''] = written.split('@', 1);
  const tag = tagged === name ? undefined : tagged.slice(name.length + ':'.length);
  return tagged === written ? { name, tag } : { name, tag, digest: written.slice(tagged.length + '@'.length) };
}

/** Tag and digest are as written: neither need be one. */
export type WrittenReference = Omit<WrittenImage, 'name'> & { readonly repository: Repository };

/** `registry/path[:tag][@digest]`, with the tolerance of `repositoryIn`. @returns undefined if there is no repository in it */
export function referenceIn(text: string): WrittenReference | undefined {
  const { name, ...rest } = splitReference(text.trimEnd());
  const repository = repositoryIn(name);
  return repository === undefined ? undefined : { repository, ...rest };
}

const longestUrl = 2048;

/** A bare host name is no registry in an image reference (it would be a path of Docker Hub), so its port is written out. */
export function registryAt(host: string, protocol: string | undefined): string {
  const bare = !/[.:]/.test(host) && host !== 'localhost';
  return bare ? `${host}:${protocol === 'https:' ? 443 : 80}` : host;
}

/** A server that is its own registry, as image references name it. @returns undefined if its URL is none of HTTP */
export function registryOfUrl(url: string | undefined): string | undefined {
  if (url === undefined || url.length > longestUrl || !URL.canParse(url)) return undefined;
  const { protocol, host } = new URL(url);
  return protocol === 'https:' || protocol === 'http:' ? registryAt(host, protocol) : undefined;
}

/** The full name if there is one, else the namespace with the name, else the name alone. */
export function fullNameIn(full: string | undefined, namespace: string | undefined, name: string | undefined) {
  return full || (namespace && name ? `${namespace}/${name}` : name) || undefined;
}

/** Manifests and indexes of either format; Docker's first one has two types. */
const imageManifest =
  /^application\/vnd\.(?:oci\.image\.(?:manifest|index)\.v1\+json|docker\.distribution\.manifest\.(?:list\.)?v\d\+(?:json|prettyjws))$/;

/**
 * Whether a media type, of a manifest or of its config, is certainly not one of an image: that of a chart, a signature, a plugin. The
 * manifests of an image and of a chart in an OCI registry have the same type, so that one stays an image.
 */
export function isOtherArtifact(mediaType: string | undefined): boolean {
  const type = mediaType?.slice(0, 200).split(';')[0]?.trim().toLowerCase() ?? '';
  return type.startsWith('application/vnd.') && !imageManifest.test(type) && !isImageConfig(type);
}
