import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../domain/image-reference.ts';
import { jsonIn, memberOf } from '../domain/json.ts';
import { revisionKey } from '../platform/registry/image-description.ts';
import { type Descriptor, digestOf, type Manifest, manifestTypes, parseManifest } from '../platform/registry/manifest.ts';

/** Image layouts on disk, as the OCI image specification has them: `index.json`, and blobs by their digests. */

/** What BuildKit calls the manifest of what is said of an image: https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md */
export const attestationType = 'attestation-manifest';
const typeAnnotation = 'vnd.docker.reference.type';
const digestAnnotation = 'vnd.docker.reference.digest';
const inTotoType = 'application/vnd.in-toto+json';
const predicateAnnotation = 'in-toto.io/predicate-type';
const configType = 'application/vnd.oci.image.config.v1+json';

/** What an index says of one image and of what is attested of it. */
export interface PlatformManifests {
  readonly image: Descriptor;
  readonly attestation?: Descriptor;
}

/** A statement about an image, in-toto's. */
export interface Statement {
  readonly predicateType: string;
  readonly predicate: unknown;
}

export function blobOf(layout: string, digest: Digest): string {
  return join(layout, 'blobs', digest.replace(':', '/'));
}

async function manifestOf(layout: string, digest: Digest): Promise<Manifest> {
  return parseManifest(await readFile(blobOf(layout, digest)), null, `the manifest ${digest} that was built`);
}

/** The one image that BuildKit has put into a layout. @throws Error where there is none, or more than one */
export async function imageIn(layout: string): Promise<PlatformManifests> {
  const found = await manifestsIn(
    layout,
    parseManifest(await readFile(join(layout, 'index.json')), manifestTypes.ociIndex, layout),
  );
  const images = found.filter(({ annotations }) => annotations?.[typeAnnotation] !== attestationType);
  const [image] = images;
  if (image === undefined || images.length > 1) throw new Error(`expected one image in what was built, found ${images.length}`);
  const attestation = found.find(({ annotations }) => annotations?.[digestAnnotation] === image.digest);
  return { image, ...(attestation !== undefined && { attestation }) };
}

async function manifestsIn(layout: string, manifest: Manifest): Promise<Descriptor[]> {
  if (manifest.kind !== 'index') return [];
  const found = await Promise.all(
    manifest.manifests.map(async (each) => {
      if (each.mediaType !== manifestTypes.ociIndex) return [each];
      return await manifestsIn(layout, await manifestOf(layout, each.digest));
    }),
  );
  return found.flat();
}

/** Everything that a manifest needs, itself last. */
export async function partsOf(layout: string, descriptor: Descriptor): Promise<readonly Descriptor[]> {
  const manifest = await manifestOf(layout, descriptor.digest);
  if (manifest.kind !== 'manifest')
    throw new Error(`expected the manifest of an image at ${descriptor.digest}, found ${manifest.kind}`);
  return [...manifest.layers, manifest.config, descriptor];
}

/** What is said of the image. */
export async function statementsOf(layout: string, { attestation }: PlatformManifests): Promise<Statement[]> {
  if (attestation === undefined) return [];
  const manifest = await manifestOf(layout, attestation.digest);
  if (manifest.kind !== 'manifest') return [];
  const statements = await Promise.all(
    manifest.layers.map(async ({ digest }) => jsonIn((await readFile(blobOf(layout, digest))).toString('utf8'))),
  );
  return statements.map((statement) => ({
    predicateType: String(memberOf(statement, 'predicateType')),
    predicate: memberOf(statement, 'predicate'),
  }));
}

/** Adds a statement to what is attested of an image. The same once more changes nothing. @returns with the new attestation */
export async function attest(layout: string, found: PlatformManifests, added: Statement): Promise<PlatformManifests> {
  const known = await statementsOf(layout, found);
  if (known.some(({ predicateType }) => predicateType === added.predicateType)) return found;
  const all = [...known, added];
  const layers = await Promise.all(
    all.map(async ({ predicateType, predicate }) => {
      const subject = [{ name: '_', digest: { sha256: found.image.digest.slice('sha256:'.length) } }];
      const statement = { _type: 'https://in-toto.io/Statement/v0.1', predicateType, subject, predicate };
      return { ...(await writeBlob(layout, statement, inTotoType)), annotations: { [predicateAnnotation]: predicateType } };
    }),
  );
  const config = await writeBlob(
    layout,
    {
      architecture: 'unknown',
      os: 'unknown',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    },
    configType,
  );
  const manifest = { schemaVersion: 2, mediaType: manifestTypes.ociImage, config, layers };
  const attestation = {
    ...(await writeBlob(layout, manifest, manifestTypes.ociImage)),
    annotations: { [digestAnnotation]: found.image.digest, [typeAnnotation]: attestationType },
    platform: { os: 'unknown', architecture: 'unknown' },
  };
  return { image: found.image, attestation };
}

async function writeBlob(layout: string, content: unknown, mediaType: string) {
  const bytes = Buffer.from(JSON.stringify(content));
  const digest = digestOf(bytes);
  const path = blobOf(layout, digest);
  await writeFile(`${path}.new`, bytes);
  await rename(`${path}.new`, path);
  return { mediaType, digest, size: bytes.length };
}

/** The index of an image of a commit: first what runs, then what is attested of it. */
export function indexOf(
  platforms: readonly PlatformManifests[],
  commit: string,
): { readonly bytes: Buffer; readonly digest: Digest } {
  const manifests = [...platforms.map(({ image }) => image), ...platforms.flatMap(({ attestation }) => attestation ?? [])];
  const annotations = { [revisionKey]: commit };
  const index = { schemaVersion: 2, mediaType: manifestTypes.ociIndex, manifests, annotations };
  const bytes = Buffer.from(JSON.stringify(index, null, 2));
  return { bytes, digest: digestOf(bytes) };
}

/**
 * A layout of the image alone, without what is attested of it, over the same blobs: for programs that take one image.
 * @param layout as the new folder sees it
 */
export async function imageAlone(layout: string, { image }: PlatformManifests, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [image] }));
  await symlink(join(layout, 'blobs'), join(folder, 'blobs'));
}

/** Reads a blob for what needs all of its bytes. @throws Error where they are not what the digest says, as after a full disk */
export async function checkBlob(layout: string, { digest, size }: Pick<Descriptor, 'digest' | 'size'>): Promise<void> {
  const path = blobOf(layout, digest);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  const found = `sha256:${hash.digest('hex')}`;
  if (found === digest && (await stat(path)).size === size) return;
  throw new Error(`what was built is damaged: the bytes of ${digest} have the digest ${found}`);
}
