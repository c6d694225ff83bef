import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import type { Digest } from '../../src/domain/image-reference.ts';
import { findTool } from '../../src/platform/tools.mjs';
import type { RegistryEndpoint } from './registry.ts';
import { type Descriptor, pushBlob, pushManifest, sha256, mediaTypes as types } from './registry-upload.ts';
import { type TarEntry, ustar } from './ustar.ts';

export { deleteManifest, pushManifest, sha256, tag } from './registry-upload.ts';

/** What an image is made of. The same options always give the same digest. */
export interface ImageOptions {
  /** Contents by path, such as `app/package.json`; what lies in `bin/` is executable. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  /** A layer of its own below `files`, which is made once for the same object however often it is pushed. */
  readonly below?: Readonly<Record<string, string | Buffer>>;
  /** Puts a static busybox into `/bin`, with `sh`, `httpd`, `sleep`, `wget` and more, so that Docker can run the image. */
  readonly busybox?: boolean;
  readonly cmd?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  /** `test` as in Docker: `['CMD', '/bin/true']` or `['CMD-SHELL', 'wget -q …']`. */
  readonly healthcheck?: {
    readonly test: readonly string[];
    readonly intervalMs?: number;
    readonly timeoutMs?: number;
    readonly startPeriodMs?: number;
    readonly retries?: number;
  };
  /** `8080/tcp` */
  readonly exposedPorts?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** `os/arch` or `os/arch/variant`; the host's own by default. */
  readonly platform?: string;
  /** ISO 8601; the same moment for all images by default. */
  readonly created?: string;
  /** Further keys of the image configuration's `config`. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly mediaTypes?: 'oci' | 'docker';
}

const busyboxCommands = [
  'sh',
  'httpd',
  'sleep',
  'wget',
  'cat',
  'echo',
  'env',
  'false',
  'id',
  'ls',
  'mkdir',
  'nc',
  'rm',
  'test',
  'touch',
  'true',
];

/** `linux/amd64` or `linux/arm64`: what Docker on this host runs. */
export function hostPlatform(): string {
  return `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;
}

/** Pushes an image (layers, configuration, manifest) under a tag, or under none. */
export async function pushImage(
  registry: RegistryEndpoint,
  name: string,
  tag?: string,
  options: ImageOptions = {},
): Promise<Digest> {
  const { digest } = await pushImageManifest(registry, name, tag, options);
  return digest;
}

/** Pushes one image for each entry, and an index of them. `children` are their digests, in order. */
export async function pushIndex(
  registry: RegistryEndpoint,
  name: string,
  tag: string | undefined,
  images: readonly ImageOptions[],
  options: { readonly attestations?: boolean; readonly mediaTypes?: 'oci' | 'docker' } = {},
): Promise<{ digest: Digest; children: Digest[] }> {
  const mediaTypes = options.mediaTypes ?? 'oci';
  const children: Descriptor[] = [];
  for (const image of images) children.push(await pushImageManifest(registry, name, undefined, { mediaTypes, ...image }));
  const attestations: Descriptor[] = [];
  if (options.attestations) for (const child of children) attestations.push(await pushAttestation(registry, name, child.digest));
  const index = { schemaVersion: 2, mediaType: types[mediaTypes].index, manifests: [...children, ...attestations] };
  const digest = await pushManifest(registry, name, tag, index);
  return { digest, children: children.map((child) => child.digest) };
}

/** A Helm chart, as `helm push` makes it. */
export function pushChart(registry: RegistryEndpoint, name: string, tag: string): Promise<Digest> {
  return pushArtifact(registry, name, tag, {
    config: ['application/vnd.cncf.helm.config.v1+json', JSON.stringify({ name: 'app', version: tag, apiVersion: 'v2' })],
    layers: [['application/vnd.cncf.helm.chart.content.v1.tar+gzip', gzipSync(ustar([]))]],
  });
}

/** A cosign signature of an image, under the tag that cosign gives it. */
export function pushSignature(registry: RegistryEndpoint, name: string, of: Digest): Promise<Digest> {
  return pushArtifact(registry, name, `${of.replace(':', '-')}.sig`, {
    config: [
      types.oci.config,
      JSON.stringify({ architecture: '', os: '', config: {}, rootfs: { type: 'layers', diff_ids: [] } }),
    ],
    layers: [['application/vnd.dev.cosign.simplesigning.v1+json', JSON.stringify({ critical: { image: of } })]],
  });
}

/** Anything that a registry keeps: media type and content of the configuration and of each layer. */
export async function pushArtifact(
  registry: RegistryEndpoint,
  name: string,
  tag: string | undefined,
  artifact: {
    readonly artifactType?: string;
    readonly config?: readonly [mediaType: string, content: string | Buffer];
    readonly layers: readonly (readonly [mediaType: string, content: string | Buffer])[];
  },
): Promise<Digest> {
  const config = artifact.config ?? ['application/vnd.oci.empty.v1+json', '{}'];
  const layers: Descriptor[] = [];
  for (const [mediaType, content] of artifact.layers)
    layers.push(await pushBlob(registry, name, mediaType, Buffer.from(content)));
  return pushManifest(registry, name, tag, {
    schemaVersion: 2,
    mediaType: types.oci.manifest,
    ...(artifact.artifactType === undefined ? {} : { artifactType: artifact.artifactType }),
    config: await pushBlob(registry, name, config[0], Buffer.from(config[1])),
    layers,
  });
}

async function pushImageManifest(
  registry: RegistryEndpoint,
  name: string,
  tag: string | undefined,
  options: ImageOptions,
): Promise<Descriptor> {
  const mediaTypes = types[options.mediaTypes ?? 'oci'];
  const [os = 'linux', architecture = 'amd64', variant] = (options.platform ?? hostPlatform()).split('/');
  const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  const made = await layersOf(options);
  const layers: Descriptor[] = [];
  for (const { compressed } of made) layers.push(await pushBlob(registry, name, mediaTypes.layer, compressed));
  const config = {
    ...platform,
    created: options.created ?? '2024-05-01T12:00:00Z',
    config: containerConfig(options),
    rootfs: { type: 'layers', diff_ids: made.map(({ diffId }) => diffId) },
    history: made.map(() => ({ created_by: 'Landfall tests' })),
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: await pushBlob(registry, name, mediaTypes.config, Buffer.from(JSON.stringify(config))),
    layers,
  };
  const digest = await pushManifest(registry, name, tag, manifest);
  return { mediaType: mediaTypes.manifest, digest, size: Buffer.byteLength(JSON.stringify(manifest)), platform };
}

function containerConfig(options: ImageOptions): Record<string, unknown> {
  const { healthcheck } = options;
  const nanoseconds = (milliseconds: number | undefined) => (milliseconds === undefined ? undefined : milliseconds * 1_000_000);
  return {
    Env: Object.entries({ PATH: '/bin:/usr/bin', ...options.env }).map(([key, value]) => `${key}=${value}`),
    Cmd: options.cmd,
    Entrypoint: options.entrypoint,
    User: options.user,
    Labels: options.labels,
    ExposedPorts: options.exposedPorts && Object.fromEntries(options.exposedPorts.map((port) => [port, {}])),
    Healthcheck: healthcheck && {
      Test: healthcheck.test,
      Interval: nanoseconds(healthcheck.intervalMs),
      Timeout: nanoseconds(healthcheck.timeoutMs),
      StartPeriod: nanoseconds(healthcheck.startPeriodMs),
      Retries: healthcheck.retries,
    },
    ...options.config,
  };
}

interface Layer {
  readonly diffId: string;
  readonly compressed: Buffer;
}

const layerOf = (tar: Buffer): Layer => ({ diffId: sha256(tar), compressed: gzipSync(tar, { level: 1 }) });

/** One layer for busybox, which the registry then keeps only once, one for what lies below, and one for the files. */
async function layersOf({ busybox, below, files = {} }: ImageOptions): Promise<Layer[]> {
  const layers: Layer[] = [];
  if (busybox) {
    busyboxLayer ??= makeBusyboxLayer();
    layers.push(await busyboxLayer);
  }
  if (below !== undefined) {
    const made = belowLayers.get(below) ?? layerOfFiles(below);
    belowLayers.set(below, made);
    layers.push(made);
  }
  if (Object.keys(files).length > 0 || layers.length === 0) layers.push(layerOfFiles(files));
  return layers;
}

const belowLayers = new WeakMap<object, Layer>();

function layerOfFiles(files: Readonly<Record<string, string | Buffer>>): Layer {
  const entries = Object.entries(files).map(([path, content]): TarEntry => {
    return { path, content: Buffer.from(content), mode: /(^|\/)s?bin\//.test(path) ? 0o755 : 0o644 };
  });
  return layerOf(ustar([...foldersOf(entries), ...entries]));
}

/** Always the same, and some 2 MB. */
let busyboxLayer: Promise<Layer> | undefined;

async function makeBusyboxLayer(): Promise<Layer> {
  const links = busyboxCommands.map((command): TarEntry => ({ path: `bin/${command}`, link: 'busybox', mode: 0o777 }));
  const busybox: TarEntry = {
    path: 'bin/busybox',
    content: await readFile(findTool('busybox') ?? '/bin/busybox'),
    mode: 0o755,
  };
  return layerOf(ustar([{ path: 'bin', mode: 0o755 }, busybox, ...links, { path: 'tmp', mode: 0o1777 }]));
}

function foldersOf(files: readonly TarEntry[]): TarEntry[] {
  const folders = new Set<string>();
  for (const { path } of files) {
    const parents = path.split('/').slice(0, -1);
    parents.forEach((_, depth) => {
      folders.add(parents.slice(0, depth + 1).join('/'));
    });
  }
  return [...folders].sort().map((path) => ({ path, mode: 0o755 }));
}

/** As BuildKit adds it to an index: a manifest without a platform of its own. */
async function pushAttestation(registry: RegistryEndpoint, name: string, of: Digest): Promise<Descriptor> {
  const statement = JSON.stringify({ _type: 'https://in-toto.io/Statement/v0.1', subject: [{ digest: of }] });
  const manifest = {
    schemaVersion: 2,
    mediaType: types.oci.manifest,
    config: await pushBlob(
      registry,
      name,
      types.oci.config,
      Buffer.from('{"architecture":"unknown","os":"unknown","rootfs":{}}'),
    ),
    layers: [await pushBlob(registry, name, 'application/vnd.in-toto+json', Buffer.from(statement))],
  };
  return {
    mediaType: manifest.mediaType,
    digest: await pushManifest(registry, name, undefined, manifest),
    size: Buffer.byteLength(JSON.stringify(manifest)),
    platform: { os: 'unknown', architecture: 'unknown' },
    annotations: { 'vnd.docker.reference.type': 'attestation-manifest', 'vnd.docker.reference.digest': of },
  };
}
