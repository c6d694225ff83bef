import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { ImageOptions } from '../../test/support/images.ts';

/** How the measured service behaves once its container is started. */
export const service = {
  /** Until its first answer: it loads its libraries and connects to its database. */
  startsWithinSeconds: 3,
  port: 8080,
  path: '/health',
} as const;

/** What a service is made of; read once, because most of it is the same in every image. */
export type ServiceFiles = Readonly<Record<string, Buffer>>;

/** How an image keeps its packages. It decides how long a scan takes: Trivy looks for secrets in site-packages, and passes over node_modules. */
export const layouts = ['python', 'node'] as const;
export type Layout = (typeof layouts)[number];

/**
 * The files of a service of about 150 MB: an interpreter, and some hundred packages. Both are this checkout's own, the Node program and
 * the JavaScript of node_modules, so that gzip, Docker and Trivy have real work; `python` lays the same text out as pip does.
 */
export async function readServiceFiles(root: string, layout: Layout): Promise<ServiceFiles> {
  const modules = join(root, 'node_modules');
  const entries = await readdir(modules, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files: Record<string, Buffer> = { [`usr/bin/${layout}`]: await readFile(process.execPath) };
  for (const path of paths) {
    const place = relative(modules, path);
    if (layout === 'node') {
      if (/\.[cm]?js$|\/package\.json$/.test(path)) files[`app/node_modules/${place}`] = await readFile(path);
      continue;
    }
    const inPackages = `app/site-packages/${place.replaceAll('node_modules/', 'vendored/')}`;
    if (/\.[cm]?js$/.test(path)) files[inPackages] = await readFile(path);
    if (/^(?:@[^/]+\/)?[^/]+\/package\.json$/.test(place)) {
      files[inPackages.replace('/package.json', '.dist-info/METADATA')] = await metadataOf(path);
    }
  }
  return files;
}

/** What pip keeps of an installed package, and what Trivy knows it by. */
async function metadataOf(path: string): Promise<Buffer> {
  const { name, version } = JSON.parse(await readFile(path, 'utf8')) as { name?: string; version?: string };
  return Buffer.from(`Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\nLicense: MIT\n`);
}

/** An image whose layer nobody has seen before, so that nothing of it but busybox is in anybody's cache. */
export function freshImage(files: ServiceFiles): ImageOptions {
  return { ...running, files: { ...files, ...freshPage() } };
}

/** An image of which only a small layer is new: what is pushed all day. @param files the same object for all of them */
export function nextImage(files: ServiceFiles): ImageOptions {
  return { ...running, below: files, files: freshPage() };
}

const running: ImageOptions = {
  busybox: true,
  // Its start is slept through rather than computed, so that it takes the same time for both sides.
  cmd: ['sh', '-c', `sleep ${service.startsWithinSeconds}; exec httpd -f -p ${service.port} -h /www`],
  exposedPorts: [`${service.port}/tcp`],
};

function freshPage(): ServiceFiles {
  return { [`www${service.path}`]: Buffer.from(`well, build ${randomBytes(8).toString('hex')}\n`) };
}
