const imageConfigTypes = ['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'];

/**
 * Whether a manifest's config has the media type of a container image's. Helm charts, signatures, attestations and other artifacts
 * are manifests too, with a config of another type.
 */
export function isImageConfig(mediaType: string): boolean {
  return imageConfigTypes.includes(mediaType.toLowerCase());
}
