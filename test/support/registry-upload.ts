import { createHash } from 'node:crypto';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RegistryEndpoint } from './registry.ts';

/** A manifest as it is listed in an index, or a blob as it is listed in a manifest. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

export const mediaTypes = {
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
} as const;

export function sha256(bytes: Buffer | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** Lets another tag point to what a tag or digest points to. */
export async function tag(registry: RegistryEndpoint, name: string, from: string, to: string): Promise<Digest> {
  const accept = [mediaTypes.oci.manifest, mediaTypes.oci.index, mediaTypes.docker.manifest, mediaTypes.docker.index].join(', ');
  const answer = await call(registry, 'GET', `/v2/${name}/manifests/${from}`, { accept });
  return putManifest(registry, name, to, Buffer.from(await answer.arrayBuffer()), answer.headers.get('content-type') ?? '');
}

/** Deletes a manifest, and with it every tag that points to it. */
export async function deleteManifest(registry: RegistryEndpoint, name: string, digest: Digest): Promise<void> {
  await call(registry, 'DELETE', `/v2/${name}/manifests/${digest}`);
}

/** Pushes a manifest or an index, whose blobs and children are there, under a tag or under none. */
export function pushManifest(
  registry: RegistryEndpoint,
  name: string,
  tag: string | undefined,
  manifest: { readonly mediaType: string } & Readonly<Record<string, unknown>>,
): Promise<Digest> {
  const bytes = Buffer.from(JSON.stringify(manifest));
  return putManifest(registry, name, tag ?? sha256(bytes), bytes, manifest.mediaType);
}

async function putManifest(registry: RegistryEndpoint, name: string, reference: string, bytes: Buffer, mediaType: string) {
  await call(registry, 'PUT', `/v2/${name}/manifests/${reference}`, { 'content-type': mediaType }, bytes);
  return sha256(bytes);
}

/** Pushes a blob, unless it is there already. */
export async function pushBlob(
  registry: RegistryEndpoint,
  name: string,
  mediaType: string,
  content: Buffer,
): Promise<Descriptor> {
  const digest = sha256(content);
  const there = await call(registry, 'HEAD', `/v2/${name}/blobs/${digest}`, {}, undefined, [404]);
  if (there.status === 404) {
    const upload = await call(registry, 'POST', `/v2/${name}/blobs/uploads/`);
    const location = new URL(upload.headers.get('location') ?? '', registry.url);
    location.searchParams.set('digest', digest);
    await call(registry, 'PUT', location.pathname + location.search, { 'content-type': 'application/octet-stream' }, content);
  }
  return { mediaType, digest, size: content.length };
}

async function call(
  registry: RegistryEndpoint,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: Buffer,
  also: readonly number[] = [],
): Promise<Response> {
  const authorization = registry.authorization === undefined ? {} : { authorization: registry.authorization };
  const answer = await fetch(registry.url + path, {
    method,
    headers: { ...headers, ...authorization },
    ...(body ? { body } : {}),
  });
  if (answer.ok || also.includes(answer.status)) return answer;
  throw new Error(`${method} ${path} was answered with ${answer.status}: ${await answer.text()}`);
}
