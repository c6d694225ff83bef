/** One entry of a tar archive: exactly one of content, link or neither (a folder). */
export interface TarEntry {
  /** Relative, without a leading slash: `usr/share/app.txt`. */
  readonly path: string;
  readonly content?: Buffer;
  /** Target of a symbolic link. */
  readonly link?: string;
  /** Permission bits, such as `0o755`. */
  readonly mode: number;
}

const blockSize = 512;

/** An archive in the POSIX ustar format, with all times at zero, so that the same entries always give the same bytes. */
export function ustar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const content = entry.content ?? Buffer.alloc(0);
    parts.push(header(entry, content.length), content, Buffer.alloc((blockSize - (content.length % blockSize)) % blockSize));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * blockSize)]);
}

function header(entry: TarEntry, size: number): Buffer {
  const block = Buffer.alloc(blockSize);
  const isFolder = entry.content === undefined && entry.link === undefined;
  const [prefix, name] = splitPath(isFolder ? `${entry.path}/` : entry.path);
  const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, '0');
  block.write(name, 0);
  block.write(octal(entry.mode, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(0, 12), 136);
  block.write(' '.repeat(8), 148);
  block.write(isFolder ? '5' : entry.link === undefined ? '0' : '2', 156);
  block.write(entry.link ?? '', 157);
  block.write('ustar\u000000', 257);
  block.write(prefix, 345);
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${octal(checksum, 7)}\0 `, 148);
  return block;
}

/** The name field holds 100 bytes; what is longer continues in the prefix field of 155. */
function splitPath(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  const slash = path.indexOf('/', path.length - 101);
  const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)];
  if (slash < 0 || name === '' || Buffer.byteLength(name) > 100 || Buffer.byteLength(prefix) > 155) {
    throw new Error(`the path ${path} does not fit a ustar header; use a shorter one`);
  }
  return [prefix, name];
}
