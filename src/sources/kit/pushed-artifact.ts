import { isImageConfig } from '../../domain/image-config.ts';

/** What payloads that describe one pushed artifact (Docker Hub, ACR, Aliyun, Quay) have in common. */

/** More than any media type has; longer text is cut before anything searches it. */
const longestType = 200;

/** The full name if there is one, else the namespace with the name, else the name alone. */
export function fullNameIn(
  full: string | undefined,
  namespace: string | undefined,
  name: string | undefined,
): string | undefined {
  if (full) return full;
  return namespace && name ? `${namespace}/${name}` : name || undefined;
}

/** Manifests and indexes of either format; Docker's first one has two types. */
const imageManifest =
  /^application\/vnd\.(?:oci\.image\.(?:manifest|index)\.v1\+json|docker\.distribution\.manifest\.(?:list\.)?v\d\+(?:json|prettyjws))$/;

/**
 * Whether a media type, be it that of a manifest or of its config, is certainly not one of an image: that of a chart, a signature, a
 * plugin. The manifest of an image and that of a chart in an OCI registry have the same type, so that one stays an image.
 */
export function isOtherArtifact(mediaType: string | undefined): boolean {
  const type = mediaType?.slice(0, longestType).split(';')[0]?.trim().toLowerCase() ?? '';
  return type.startsWith('application/vnd.') && !imageManifest.test(type) && !isImageConfig(type);
}
