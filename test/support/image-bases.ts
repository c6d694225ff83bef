import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { installPackages } from '../../scripts/setup/packages.mjs';
import { cachedVersions, cacheFolder, findOnPath, findTool } from '../../src/platform/tools.mjs';
import { buildx } from './docker-buildx.ts';
import { startRegistry } from './registry.ts';

/*
 * Docker Hub cannot be reached everywhere, so what the image and docker-compose.yml take from there has stand-ins: a Debian root made with
 * debootstrap, and the programs that set-up has. They are made once, and kept in the cache folder as the storage of a registry.
 */

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const sources = fileURLToPath(new URL('./bases/', import.meta.url));
const suite = 'bookworm';
const most = { maxBuffer: 64 * 1024 ** 2 };

/** The targets of bases/Dockerfile that are pushed. */
export const baseNames = ['node', 'go', 'python', 'docker', 'trivy', 'postgres', 'temporal', 'admin-tools'] as const;
export type BaseName = (typeof baseNames)[number];

export interface ImageBases {
  /** For `startRegistry`: has each of `baseNames` with the tag `1`. */
  readonly storage: string;
  /** What `npm ci` installs, as `all.tar` and `production.tar`. */
  readonly modules: string;
}

export async function imageBases(): Promise<ImageBases> {
  return {
    storage: await kept('bases', await keyOfBases(), makeBases),
    modules: await kept('modules', await lockFile(), makeModules),
  };
}

/** A folder in the cache, made whole or not at all. */
async function kept(name: string, key: string, make: (folder: string) => Promise<void>): Promise<string> {
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 12);
  const folder = join(cacheFolder(process.env), `image-${name}-${hash}`);
  if (existsSync(folder)) return folder;
  await mkdir(cacheFolder(process.env), { recursive: true });
  const part = await mkdtemp(`${folder}.`);
  try {
    await make(part);
    await rename(part, folder);
  } finally {
    await rm(part, { recursive: true, force: true });
  }
  return folder;
}

const lockFile = () => readFile(join(root, 'package-lock.json'), 'utf8');

async function keyOfBases(): Promise<string> {
  const files = (await readdir(sources)).sort().map((name) => readFile(join(sources, name), 'utf8'));
  return [suite, process.version, JSON.stringify(cachedVersions), ...(await Promise.all(files))].join('\n');
}

async function makeModules(folder: string): Promise<void> {
  const work = await mkdtemp(join(cacheFolder(process.env), 'image-modules-'));
  try {
    for (const file of ['package.json', 'package-lock.json']) await copyFile(join(root, file), join(work, file));
    for (const [name, ...words] of [['all'], ['production', '--omit=dev']]) {
      await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', ...words], { cwd: work, ...most });
      await run('tar', ['-C', work, '-cf', join(folder, `${name}.tar`), 'node_modules']);
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function makeBases(storage: string): Promise<void> {
  const roots = await kept('debian', `${suite} ${rootPackages} ${servicePackages}`, makeRoots);
  const context = await mkdtemp(join(cacheFolder(process.env), 'image-context-'));
  const registry = await startRegistry({ folder: storage });
  try {
    await cp(sources, context, { recursive: true });
    for (const name of await readdir(roots)) await copyFile(join(roots, name), join(context, name));
    await copyFile(process.execPath, join(context, 'node'));
    for (const name of ['docker', 'trivy', 'temporal', 'docker-compose'] as const) {
      const found = findTool(name);
      if (found === undefined) throw new Error(`these tests need ${name}: npm test sets it up`);
      await copyFile(await realpath(found), join(context, name));
      await chmod(join(context, name), 0o755);
    }
    for (const name of baseNames)
      await buildx(['build', '--push', '--target', name, '--tag', `${registry.host}/${name}:1`, context]);
  } finally {
    await registry.stop();
    await rm(context, { recursive: true, force: true });
  }
}

const rootPackages = 'ca-certificates,git,openssh-client,tini';
const servicePackages = 'postgresql-15 busybox-static';

/** `root.tar`, what Landfall's image is made of, and `services.tar`, with the servers that docker-compose.yml starts. */
async function makeRoots(folder: string): Promise<void> {
  const made = await mkdtemp(join(cacheFolder(process.env), 'image-root-'));
  // It is the root folder of the images, too.
  await chmod(made, 0o755);
  const pack = (name: string) => {
    const without = [
      'dev',
      'proc',
      'sys',
      'var/cache/apt',
      'var/lib/apt/lists',
      'usr/share/doc',
      'usr/share/man',
      'usr/share/locale',
    ];
    return run('tar', ['-C', made, ...without.map((path) => `--exclude=./${path}/*`), '-cf', join(folder, name), '.']);
  };
  try {
    if (findOnPath('debootstrap') === undefined)
      await installPackages({ packages: ['debootstrap'] }, { env: process.env, say: console.error });
    // Nothing of this process's environment, such as its folder for temporary files, is there.
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive' };
    await run('debootstrap', ['--variant=minbase', `--include=${rootPackages}`, suite, made, await mirror()], { env, ...most });
    const list = await readFile(join(made, 'etc/apt/sources.list'), 'utf8');
    // Everything is there, so the build asks no mirror.
    await writeFile(join(made, 'etc/apt/sources.list'), '');
    await pack('root.tar');
    await writeFile(join(made, 'etc/apt/sources.list'), list);
    const install = `apt-get update && apt-get install --yes --no-install-recommends ${servicePackages}`;
    await run('chroot', [made, 'sh', '-c', install], { env, ...most });
    await pack('services.tar');
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

/** Where this machine has its own packages from, if it is a Debian. */
async function mirror(): Promise<string> {
  const text = await readFile('/etc/apt/sources.list.d/debian.sources', 'utf8').catch(() => '');
  return /^URIs: (\S+\/debian)\/?$/m.exec(text)?.[1] ?? 'http://deb.debian.org/debian';
}
