import { isImageConfig } from '../../domain/image-config.ts';
import { type Descriptor, type Manifest, manifestTypes } from './manifest.ts';

/** Stands where an artifact has no configuration, so it says nothing. */
const emptyType = 'application/vnd.oci.empty.v1+json';
/** OCI and Docker layers, compressed or not, also those that may not be distributed. */
const imageLayerType = /^application\/vnd\.(oci\.image\.layer\.|docker\.image\.rootfs\.)/;

/** What else is kept in registries, by the beginning of its artifact type, configuration type or layer type. */
const knownArtifacts: readonly (readonly [prefix: string, name: string])[] = [
  ['application/vnd.cncf.helm.', 'a Helm chart'],
  ['application/vnd.dev.cosign.simplesigning.', 'a cosign signature'],
  ['application/vnd.dev.cosign.artifact.sig.', 'a cosign signature'],
  ['application/vnd.dev.cosign.artifact.sbom.', 'an SBOM'],
  ['application/vnd.dev.sigstore.bundle', 'a Sigstore bundle (signature or attestation)'],
  ['application/vnd.dsse.envelope.', 'an attestation'],
  ['application/vnd.in-toto', 'an in-toto attestation'],
  ['application/vnd.cncf.notary.', 'a Notary signature'],
  ['application/spdx', 'an SBOM'],
  ['text/spdx', 'an SBOM'],
  ['application/vnd.cyclonedx', 'an SBOM'],
  ['application/vnd.wasm.', 'a WebAssembly module'],
  ['application/wasm', 'a WebAssembly module'],
  ['application/vnd.cncf.flux.', 'Flux manifests'],
  ['application/vnd.cncf.openpolicyagent.', 'an Open Policy Agent bundle'],
  ['application/vnd.docker.plugin.', 'a Docker plugin'],
  ['application/vnd.docker.compose.', 'a Compose project'],
  ['application/vnd.docker.ai.', 'an AI model'],
  ['application/vnd.ollama.', 'an AI model'],
  ['application/vnd.sylabs.sif.', 'a Singularity image'],
  ['application/vnd.devcontainers', 'a dev container feature'],
  ['application/vnd.buildkit.cacheconfig.', 'a build cache'],
  ['application/vnd.aquasec.trivy.', 'a Trivy database'],
];

/** What a manifest is if it is no container image (`a Helm chart (application/…)`); undefined if it is one, or an index. */
export function otherThanImage(manifest: Manifest): string | undefined {
  if (manifest.kind === 'index') return undefined;
  if (manifest.kind === 'other') return named([manifest.mediaType]);
  const { artifactType, config, layers } = manifest;
  // Docker unpacks every layer, whatever its type; a scanner may not.
  if (isImageConfig(config.mediaType) && layers.every(({ mediaType }) => imageLayerType.test(mediaType))) return undefined;
  const types = [artifactType, config.mediaType, ...layers.map((layer) => layer.mediaType)];
  const telling = types.filter(
    (type) => type !== undefined && type !== emptyType && !isImageConfig(type) && !imageLayerType.test(type),
  );
  return named(telling.length > 0 ? telling : [config.mediaType]);
}

/** Docker's schema 1, from before 2016: it has no configuration that could be verified. */
export function isSchema1({ mediaType }: Manifest): boolean {
  return mediaType === manifestTypes.dockerSchema1 || mediaType === manifestTypes.dockerSchema1Signed;
}

/** No host is of such a platform, so no runtime chooses the entry: BuildKit lists provenance and SBOM so, others their own data. */
export function isForNoPlatform({ platform }: Descriptor): boolean {
  return platform?.os.toLowerCase() === 'unknown' && platform.architecture.toLowerCase() === 'unknown';
}

/** By the first type with a name; else the first type, as it is. */
function named(types: readonly (string | undefined)[]): string {
  for (const type of types) {
    const known = knownArtifacts.find(([prefix]) => type?.startsWith(prefix));
    if (known !== undefined) return `${known[1]} (${type?.slice(0, 200)})`;
  }
  return `an artifact of type ${types[0]?.slice(0, 200)}`;
}
