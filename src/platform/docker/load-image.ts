import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import type Docker from 'dockerode';
import { jsonIn, memberOf } from '../../domain/json.ts';
import { isMissing } from './errors.ts';

/** A file of an image, by its digest: `sha256:` and 64 digits. */
export interface ImageFile {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly path: string;
}

/**
 * Gives an engine an image that is in no registry, as `docker load` does: in the form of `docker save`, which every engine takes.
 * @param name with tag, under which it is there then
 */
export async function loadImage(
  docker: Docker,
  name: string,
  { config, layers }: { readonly config: ImageFile; readonly layers: readonly ImageFile[] },
): Promise<void> {
  const archive = new PassThrough();
  const manifest = [{ Config: nameIn(config), RepoTags: [name], Layers: layers.map(nameIn) }];
  const written = write(archive, [config, ...new Map(layers.map((layer) => [layer.digest, layer])).values()], manifest);
  const loaded = docker.loadImage(archive, { quiet: true });
  // What the engine does not take ends both.
  const [answer] = await Promise.all([loaded, written.catch((error: unknown) => void archive.destroy(toError(error)))]);
  const said = await lastOf(answer);
  const problem = memberOf(jsonIn(said), 'error');
  if (typeof problem === 'string') throw new Error(`the Docker engine does not take what was built: ${problem}`);
}

/** Takes it away again; no error where it is gone. */
export async function unloadImage(docker: Docker, name: string): Promise<void> {
  try {
    await docker.getImage(name).remove({ force: true });
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

function nameIn({ digest }: ImageFile): string {
  return `blobs/${digest.replace(':', '/')}`;
}

async function write(archive: Writable, files: readonly ImageFile[], manifest: unknown): Promise<void> {
  for (const file of files) {
    await put(archive, header(nameIn(file), file.size));
    for await (const chunk of createReadStream(file.path)) await put(archive, chunk as Buffer);
    await put(archive, padding(file.size));
  }
  const bytes = Buffer.from(JSON.stringify(manifest));
  await put(archive, Buffer.concat([header('manifest.json', bytes.length), bytes, padding(bytes.length), Buffer.alloc(1024)]));
  archive.end();
}

async function put(archive: Writable, bytes: Buffer): Promise<void> {
  if (!archive.write(bytes)) await once(archive, 'drain');
}

const blockBytes = 512;

/** Of a file in a tar archive, as POSIX has it (ustar), with a size of any length in base 256. */
function header(name: string, size: number): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, 100);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  if (size < 8 ** 11) block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  else {
    block.writeUInt8(0x80, 124);
    block.writeBigUInt64BE(BigInt(size), 128);
  }
  block.write('00000000000\0', 136);
  block.write('        ', 148);
  block.write('0', 156);
  block.write('ustar\x0000', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function padding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}

/** The last line of what the engine says, which is JSON. */
async function lastOf(answer: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of answer as Readable) text = `${text}${chunk}`.slice(-10_000);
  return text.trim().split('\n').at(-1) ?? '';
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
