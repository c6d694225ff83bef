import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Refusal } from '../../domain/failures.ts';
import { type Digest, isDigest } from '../../domain/image-reference.ts';
import { excessOf, jsonIn, memberOf } from '../../domain/json.ts';

/** Every kind of manifest that we ask for; a registry that has another kind may still send it. */
export const manifestTypes = {
  ociImage: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerImage: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
} as const;

export const acceptManifests = [
  manifestTypes.ociImage,
  manifestTypes.ociIndex,
  manifestTypes.dockerImage,
  manifestTypes.dockerIndex,
].join(', ');

const digestText = z.custom<Digest>(
  (value) => typeof value === 'string' && isDigest(value),
  'expected sha256: and 64 lower-case hex digits',
);

/** Far above every type in use: it is kept in histories, and the pusher chooses it. */
const longestMediaType = 128;
const mediaType = z.string().max(longestMediaType, `expected a media type of at most ${longestMediaType} characters`);
/** `linux`, `amd64`, `v8`; empty in the configuration of what is made for no platform. Kept in histories as well. */
const platformPart = z.string().regex(/^[\w.-]{0,32}$/, 'expected at most 32 letters, digits, _, . and -');

const platform = z.object({
  os: platformPart,
  architecture: platformPart,
  variant: platformPart.nullish(),
  'os.version': z.string().max(64).nullish(),
  'os.features': z.array(z.string().max(64)).nullish(),
});

const descriptor = z.object({
  mediaType,
  digest: digestText,
  size: z.number().int().nonnegative(),
  artifactType: mediaType.optional(),
  annotations: z.record(z.string(), z.string()).nullish(),
  platform: platform.nullish(),
});

const manifestBody = z.object({
  schemaVersion: z.number(),
  mediaType: mediaType.nullish(),
  artifactType: mediaType.nullish(),
  config: descriptor.nullish(),
  layers: z.array(descriptor).nullish(),
  manifests: z.array(descriptor).nullish(),
  /** They are for people: what is none of them makes no manifest wrong. */
  annotations: z.record(z.string(), z.string()).nullish().catch(undefined),
  /** Layers of Docker's schema 1. */
  fsLayers: z.array(z.unknown()).nullish(),
});

const imageConfig = z.object({
  os: platformPart.nullish(),
  architecture: platformPart.nullish(),
  variant: platformPart.nullish(),
  created: z.string().nullish(),
  config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
});

export type Descriptor = z.infer<typeof descriptor>;
/** An image's configuration, as far as we look at it. */
export type ImageConfig = z.infer<typeof imageConfig>;

interface ManifestBase {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A manifest of one image, or of something else that is packed like one. */
export interface SingleManifest extends ManifestBase {
  readonly kind: 'manifest';
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** An OCI index or a Docker manifest list. */
export interface IndexManifest extends ManifestBase {
  readonly kind: 'index';
  readonly manifests: readonly Descriptor[];
}

/** `other`: Docker's schema 1, or a kind that we do not know. */
export type Manifest = SingleManifest | IndexManifest | (ManifestBase & { readonly kind: 'other' });

export function digestOf(bytes: Buffer): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/**
 * @param contentType of the answer: counts only where the manifest itself does not show what it is
 * @throws Refusal `NotAnImage` for bytes that are no manifest, with what it is (`what`)
 */
export function parseManifest(bytes: Buffer, contentType: string | null, what: string): Manifest {
  const body = parseAs(manifestBody, bytes, what);
  const { config, layers, manifests, fsLayers } = body;
  // Read as one kind it is another image than read as the other: CVE-2021-41190.
  if ((config || layers) && manifests) throw ambiguous(what, 'has both layers and manifests');
  if (fsLayers && (config || layers || manifests)) throw ambiguous(what, 'is of schema 1 and 2 at once');
  refuseAmbiguousKey(bytes, what);
  const base = {
    digest: digestOf(bytes),
    mediaType: body.mediaType ?? impliedType(body) ?? contentType?.split(';')[0]?.trim() ?? 'unknown',
    ...(body.artifactType ? { artifactType: body.artifactType } : {}),
    ...(body.annotations ? { annotations: body.annotations } : {}),
  };
  if (manifests) return { ...base, kind: 'index', manifests };
  if (config && layers) return { ...base, kind: 'manifest', config, layers };
  return { ...base, kind: 'other' };
}

/** @throws Refusal `NotAnImage` for bytes that are no image configuration */
export function parseImageConfig(bytes: Buffer, what: string): ImageConfig {
  const config = parseAs(imageConfig, bytes, what);
  refuseAmbiguousKey(bytes, what, 1);
  return config;
}

function refuseAmbiguousKey(bytes: Buffer, what: string, depth?: number): void {
  const key = ambiguousKey(bytes.toString('utf8'), depth);
  if (key === undefined) return;
  throw ambiguous(what, `has the key '${key.slice(0, 50)}' twice, or in another case than it is defined in`);
}

function ambiguous(what: string, why: string): Refusal {
  return new Refusal('NotAnImage', `${what} ${why}, so it is ambiguous which image it is; push it again`);
}

/** JSON that every program reads alike: undefined where it is none, has more than an image needs, or a key that is ambiguous. */
export function unambiguousJsonIn(bytes: Buffer): unknown {
  const json = boundedJsonIn(bytes);
  return json === undefined || ambiguousKey(bytes.toString('utf8')) !== undefined ? undefined : json;
}

/** Whether it is at all of the form of a manifest, however wrong it may be otherwise. */
export function resemblesManifest(bytes: Buffer): boolean {
  return typeof memberOf(boundedJsonIn(bytes), 'schemaVersion') === 'number';
}

/** Whether it is at all of the form of an image configuration. */
export function resemblesConfig(bytes: Buffer): boolean {
  const json = boundedJsonIn(bytes);
  return ['rootfs', 'architecture', 'os', 'config'].some((name) => memberOf(json, name) !== undefined);
}

function boundedJsonIn(bytes: Buffer): unknown {
  return excessOf(bytes, limits) === undefined ? jsonIn(bytes.toString('utf8')) : undefined;
}

/** OCI manifests need not say what they are, and the oldest of Docker's do not. */
function impliedType({ schemaVersion, manifests, config, layers }: z.infer<typeof manifestBody>): string | undefined {
  if (schemaVersion === 1) return manifestTypes.dockerSchema1;
  if (manifests) return manifestTypes.ociIndex;
  return config && layers ? manifestTypes.ociImage : undefined;
}

/** An image has a hundred layers and as many labels at most, an index some dozens of images. With more, reading would take a second. */
const limits = { levels: 32, items: 20_000 };

function parseAs<Shape extends z.ZodType>(shape: Shape, bytes: Buffer, what: string): z.infer<Shape> {
  const excess = excessOf(bytes, limits);
  if (excess !== undefined) throw new Refusal('NotAnImage', `${what} is expected to have ${excess}; push a simpler one`);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new Refusal('NotAnImage', `${what} is not JSON, so it is no image; push it again`, [], { cause: error });
  }
  const parsed = shape.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const problem = `${issue?.path.join('.') || 'the whole'}: ${issue?.message}`;
  throw new Refusal('NotAnImage', `${what} does not have the form of OCI or Docker: ${problem}; push it again`);
}

/** Members of manifests, indexes and descriptors that decide which image is meant. */
const members: ReadonlyMap<string, string> = new Map(
  [manifestBody, descriptor, platform].flatMap(({ shape }) => Object.keys(shape)).map((name) => [folded(name), name]),
);

const [openObject, closeObject, openArray, closeArray, comma, quote, backslash] = [0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x22, 0x5c];

interface Frame {
  readonly isObject: boolean;
  /** Made for the first key: hostile manifests have a million empty objects. */
  keys?: Set<string>;
  /** Its keys are whatever somebody chose, so their case counts. */
  readonly isMap: boolean;
  expectsKey: boolean;
  lastKey: string;
}

/**
 * A key that programs read differently: Docker, containerd and Trivy take `Manifests` for `manifests`, and the last one of two.
 * @param text valid JSON @param depth how deep to look: 1 is the outermost object
 */
export function ambiguousKey(text: string, depth: number = Number.POSITIVE_INFINITY): string | undefined {
  const outer: Frame[] = [];
  let frame: Frame = { isObject: false, isMap: false, expectsKey: false, lastKey: '' };
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === openObject || character === openArray) {
      outer.push(frame);
      const isObject = character === openObject;
      frame = { isObject, isMap: frame.lastKey === 'annotations', expectsKey: isObject, lastKey: '' };
    } else if (character === closeObject || character === closeArray) {
      frame = outer.pop() ?? frame;
    } else if (character === comma) {
      frame.expectsKey = frame.isObject;
    } else if (character === quote) {
      const end = endOfString(text, at);
      if (frame.expectsKey) {
        const quoted = text.slice(at, end + 1);
        const key = quoted.includes('\\') ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
        if (outer.length <= depth && isAmbiguous(frame, key)) return key;
        frame.expectsKey = false;
        frame.lastKey = key;
      }
      at = end;
    }
  }
  return undefined;
}

/** Also takes note of the key. */
function isAmbiguous(frame: Frame, key: string): boolean {
  const name = frame.isMap ? key : folded(key);
  frame.keys ??= new Set();
  const isRepeated = frame.keys.has(name);
  frame.keys.add(name);
  return isRepeated || (!frame.isMap && (members.get(name) ?? key) !== key);
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== quote) at += text.charCodeAt(at) === backslash ? 2 : 1;
  return at;
}

/** As Go folds case: the long s and the Kelvin sign are letters too. */
export function folded(key: string): string {
  return key.toUpperCase().toLowerCase();
}
