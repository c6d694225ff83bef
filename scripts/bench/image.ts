import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { ImageOptions } from '../../test/support/images.ts';

/** What the measured service does once it is started. */
export const service = {
  /** From the start of its container to its first answer: a Node or Python service that connects to its database first. */
  startsWithinSeconds: 3,
  port: 8080,
  path: '/health',
} as const;

/** What a Node service is made of, read once: it is the same in every image. */
export type ServiceFiles = Readonly<Record<string, Buffer>>;

/**
 * The files of a typical Node service: the Node program itself, the JavaScript and the `package.json` of every installed package, and
 * the service's own source. They are this checkout's own, so that Trivy, gzip and Docker have the work that real ones give them.
 */
export async function readServiceFiles(root: string): Promise<ServiceFiles> {
  const packages = await filesIn(root, 'node_modules', (path) => /\.[cm]?js$|\/package\.json$/.test(path));
  const source = await filesIn(root, 'src', (path) => path.endsWith('.ts'));
  return { 'usr/bin/node': await readFile(process.execPath), ...packages, ...source };
}

/** An image whose layer of some 150 MB has never been seen before, so that nobody has anything of it but busybox in a cache. */
export function freshImage(files: ServiceFiles): ImageOptions {
  const { startsWithinSeconds, port, path } = service;
  return {
    busybox: true,
    // Its start is slept through rather than computed, so that it takes the same time on both sides.
    cmd: ['sh', '-c', `sleep ${startsWithinSeconds}; exec httpd -f -p ${port} -h /www`],
    exposedPorts: [`${port}/tcp`],
    files: { ...files, [`www${path}`]: `well, build ${randomBytes(8).toString('hex')}\n` },
  };
}

async function filesIn(root: string, folder: string, isWanted: (path: string) => boolean): Promise<Record<string, Buffer>> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files: Record<string, Buffer> = {};
  for (const path of paths.filter(isWanted)) files[`app/${relative(root, path)}`] = await readFile(path);
  return files;
}
