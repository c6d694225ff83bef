import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { imagesOf } from '../../scripts/pin-images.mjs';
import type { Digest } from '../../src/domain/image-reference.ts';
import { buildx } from './docker-buildx.ts';
import { type BaseName, baseNames, imageBases } from './image-bases.ts';
import { type Registry, startRegistry } from './registry.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface OwnImage {
  /** Has the bases, by the names of `baseNames`. */
  readonly bases: Registry;
  /** Has Landfall's image as `landfall/landfall`. */
  readonly registry: Registry;
  readonly digest: Digest;
  /** What Docker knows it by. */
  readonly name: string;
  readonly references: Readonly<Record<BaseName, string>>;
  stop(): Promise<void>;
}

/** Builds the image of this checkout by its Dockerfile, from stand-ins that its build arguments name by digest, and pushes it. */
export async function buildOwnImage(): Promise<OwnImage> {
  const { storage, modules } = await imageBases();
  const bases = await startRegistry({ folder: storage });
  const registry = await startRegistry();
  const served = createServer((request, response) => {
    createReadStream(join(modules, (request.url ?? '').replace(/^.*\//, '')))
      .on('error', () => response.destroy())
      .pipe(response);
  }).listen(0, '127.0.0.1');
  await once(served, 'listening');
  const stop = async () => {
    served.close();
    await bases.stop();
    await registry.stop();
  };
  try {
    const pinned = await Promise.all(baseNames.map(async (name) => [name, await byDigest(bases, name)] as const));
    const references = Object.fromEntries(pinned) as Record<BaseName, string>;
    const chosen = [...imagesOf(await readFile(join(root, 'Dockerfile'), 'utf8')).keys()].map(
      (name) => `${name}=${references[baseOf(name)]}`,
    );
    const proxy = `HTTP_PROXY=http://127.0.0.1:${(served.address() as AddressInfo).port}`;
    const name = `${registry.host}/landfall/landfall:test`;
    const built = ['build', '--network', 'host', '--tag', name, '--push', '--provenance=false'];
    await buildx([...built, ...[...chosen, proxy].flatMap((argument) => ['--build-arg', argument]), root]);
    const digest = (await byDigest(registry, 'landfall/landfall', 'test')).split('@')[1] as Digest;
    return { bases, registry, digest, name, references, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** `NODE_IMAGE`: node. */
function baseOf(argument: string): BaseName {
  const name = argument.replace(/_IMAGE$/, '').toLowerCase();
  const base = baseNames.find((known) => known === name);
  if (base === undefined) throw new Error(`no stand-in for ${argument}`);
  return base;
}

async function byDigest({ url, host }: Registry, name: string, tag = '1'): Promise<string> {
  const accept =
    'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json';
  const answer = await fetch(`${url}/v2/${name}/manifests/${tag}`, { method: 'HEAD', headers: { accept } });
  const digest = answer.headers.get('docker-content-digest');
  if (digest === null) throw new Error(`expected ${name}:${tag} in ${host}, found ${answer.status}`);
  return `${host}/${name}@${digest}`;
}
