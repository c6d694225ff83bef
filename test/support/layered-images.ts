import { gzipSync } from 'node:zlib';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RegistryEndpoint } from './registry.ts';
import { mediaTypes, pushBlob, pushManifest, sha256 } from './registry-upload.ts';
import { ustar } from './ustar.ts';

export interface TestLayer {
  /** Contents by path. */
  readonly files: Readonly<Record<string, string>>;
  /** What the image claims that it is, in place of what it is. */
  readonly claim?: string;
}

export interface HistoryEntry {
  readonly created_by: string;
  readonly empty_layer?: boolean;
}

/** What a layer is, unpacked. */
export function diffIdOf({ files }: TestLayer): Digest {
  return sha256(tarOf(files));
}

/** What the registry keeps of it. */
export function blobOf(layer: TestLayer): Digest {
  return sha256(packed(layer));
}

/** Pushes an image of these layers. @param history by default, one entry for each layer @param claims in place of the layers' own */
export async function pushLayers(
  registry: RegistryEndpoint,
  name: string,
  layers: readonly TestLayer[],
  history: readonly HistoryEntry[] = layers.map(() => ({ created_by: 'COPY . /' })),
  claims: readonly string[] = layers.map((layer) => layer.claim ?? diffIdOf(layer)),
): Promise<Digest> {
  const { manifest, config, layer: layerType } = mediaTypes.oci;
  const blobs = [];
  for (const each of layers) blobs.push(await pushBlob(registry, name, layerType, packed(each)));
  const json = { os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: claims }, history };
  return await pushManifest(registry, name, undefined, {
    schemaVersion: 2,
    mediaType: manifest,
    config: await pushBlob(registry, name, config, Buffer.from(JSON.stringify(json))),
    layers: blobs,
  });
}

function packed({ files }: TestLayer): Buffer {
  return gzipSync(tarOf(files), { level: 1 });
}

function tarOf(files: TestLayer['files']): Buffer {
  return ustar(Object.entries(files).map(([path, content]) => ({ path, content: Buffer.from(content), mode: 0o644 })));
}
