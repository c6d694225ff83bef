import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Digest, Repository } from '../../domain/image-reference.ts';
import { type Descriptor, folded, unambiguousJsonIn } from '../../platform/registry/manifest.ts';
import type { Registry } from '../../platform/registry/registry.ts';

/** A layer as Trivy knows it again, and what it is in truth. */
export interface ImageLayer {
  /** What the image's configuration says that the layer is, unpacked. Trivy believes it. */
  readonly diffId: string;
  /** All that decides what Trivy finds in it, as text; the same text for the same findings. */
  readonly content: string;
}

const historyEntry = z.strictObject({
  created: z.unknown().optional(),
  created_by: z.string().nullish(),
  author: z.unknown().optional(),
  comment: z.unknown().optional(),
  empty_layer: z.boolean().nullish(),
});

const configSchema = z.object({
  rootfs: z.strictObject({
    type: z.unknown().optional(),
    diff_ids: z.array(z.string().regex(/^sha256:[0-9a-f]{64}$/)),
  }),
  history: z.array(historyEntry).nullish(),
});

type HistoryEntry = z.infer<typeof historyEntry>;

/**
 * The layers of an image's manifest, by manifest and configuration, which are both hashed. Undefined where it cannot be told for certain how
 * Trivy reads these: then no layer of it may be taken for one that was seen before.
 */
export async function readLayers(
  registry: Pick<Registry, 'manifest' | 'configBytes'>,
  repository: Repository,
  digest: Digest,
): Promise<readonly ImageLayer[] | undefined> {
  const manifest = await registry.manifest(repository, digest);
  if (manifest?.kind !== 'manifest') return undefined;
  const bytes = await registry.configBytes(repository, manifest.config.digest);
  return bytes && layersIn(bytes, manifest.layers);
}

/** @param bytes the image's configuration @param blobs the layers of its manifest */
export function layersIn(bytes: Buffer, blobs: readonly Descriptor[]): readonly ImageLayer[] | undefined {
  const json = unambiguousJsonIn(bytes);
  if (typeof json !== 'object' || json === null || Object.keys(json).some(isMisspelled)) return undefined;
  const config = configSchema.safeParse(json).data;
  if (config === undefined) return undefined;
  const history = config.history ?? [];
  const diffIds = config.rootfs.diff_ids;
  const created = history.filter(({ empty_layer }) => empty_layer !== true);
  if (diffIds.length !== blobs.length || (history.length > 0 && created.length !== blobs.length)) return undefined;
  const base = baseLayers(history, diffIds);
  const layers = new Map<string, string>();
  for (const [index, { digest, mediaType, size }] of blobs.entries()) {
    const diffId = diffIds[index] ?? '';
    const by = createHash('sha256')
      .update(created.findLast((_, at) => diffIds[at] === diffId)?.created_by ?? '')
      .digest('hex');
    const content = JSON.stringify({ digest, mediaType, size, isBase: base.has(diffId), by });
    // Trivy takes the first one for both.
    if ((layers.get(diffId) ?? content) !== content) return undefined;
    layers.set(diffId, content);
  }
  return [...layers].map(([diffId, content]) => ({ diffId, content }));
}

/** Go takes `Rootfs` for `rootfs`. */
function isMisspelled(key: string): boolean {
  return ['rootfs', 'history'].some((name) => folded(key) === name && key !== name);
}

/**
 * The layers that Trivy 0.76 takes for those of a base image, in which it looks for no secrets: those up to the last CMD that other layers
 * follow (guessBaseLayers in pkg/fanal/artifact/image, GuessBaseImageIndex in pkg/fanal/image).
 */
function baseLayers(history: readonly HistoryEntry[], diffIds: readonly string[]): ReadonlySet<string> {
  const lastFilled = history.findLastIndex(({ empty_layer }) => empty_layer !== true);
  const end = history.findLastIndex(
    ({ empty_layer, created_by }, index) => index < lastFilled && empty_layer === true && isCommand(created_by ?? ''),
  );
  const filled = history.slice(0, end + 1).filter(({ empty_layer }) => empty_layer !== true).length;
  return new Set(diffIds.slice(0, filled));
}

/** Of Docker's builder, and of BuildKit. */
function isCommand(createdBy: string): boolean {
  return createdBy.startsWith('/bin/sh -c #(nop)  CMD') || createdBy.startsWith('CMD');
}
