#!/usr/bin/env node
/**
 * `node scripts/pin-images.mjs Dockerfile` (or `docker-compose.yml`): which images the file's `NAME_IMAGE` stand for at this moment, by
 * digest, as lines `NAME_IMAGE=image:tag@sha256:…`: build arguments of the image, or lines of .env. Asks the registries by Docker's buildx.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/**
 * @param {string} text of a Dockerfile (`ARG NODE_IMAGE=node:24`) or a compose file (`${POSTGRES_IMAGE:-postgres:16}`)
 * @returns {Map<string, string>} images by the names that choose them
 */
export function imagesOf(text) {
  const chosen = /^ARG (\w+_IMAGE)=(\S+)|\$\{(\w+_IMAGE):-((?:[^{}]|\$\{[^{}]*\})+)\}/gm;
  const images = [...text.matchAll(chosen)].map(([, argument, base, variable, fallback = '']) => {
    // A version within may be chosen as well, and has a value of its own for whoever does not.
    const image = base ?? fallback.replace(/\$\{\w+:-([^{}]*)\}/g, '$1');
    return /** @type {const} */ ([argument ?? variable ?? '', image]);
  });
  // Landfall's own is built here.
  return new Map(images.filter(([name]) => name !== 'LANDFALL_IMAGE'));
}

/**
 * @param {string} image
 * @param {string} docker
 */
function pinned(image, docker) {
  if (image.includes('@')) return image;
  const words = ['buildx', 'imagetools', 'inspect', '--format', '{{.Manifest.Digest}}', image];
  const digest = execFileSync(docker, words, { encoding: 'utf8' }).trim();
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`expected the digest of ${image}, found '${digest}'`);
  return `${image}@${digest}`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [file] = process.argv.slice(2);
  if (file === undefined) throw new Error('expected the path of a Dockerfile or a compose file');
  for (const [name, image] of imagesOf(readFileSync(file, 'utf8')))
    console.log(`${name}=${pinned(image, process.env.DOCKER_CLI ?? 'docker')}`);
}
