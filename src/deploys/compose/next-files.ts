import { lstat, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { editManifest } from '../../domain/manifest-edit.ts';
import type { ImageIdentity } from '../../domain/outcomes.ts';
import type { ChangePlan } from '../../domain/plan.ts';
import type { Checkout, CheckoutUpdate } from './checkout.ts';

/** Larger ones are no compose or env files, and Compose reads no others. */
const largestFile = 1024 * 1024;
/** More than that beside a checkout are nobody's compose files. */
const mostSiblings = 1000;

/** The files of a commit as they would be in a directory, beside what is not tracked there. */
export interface NextFiles {
  /** Where the directory is among them. */
  readonly directory: string;
  /** Puts real paths in the place of those here, in whatever text. */
  real(text: string): string;
}

/**
 * Lays out what the checkout would have after the change, and touches nothing in the checkout: the files of the commit in a temporary
 * folder, the image written into the changed file, and symbolic links to what is not tracked. All of it lies under the same path as the
 * checkout, so that relative paths lead to the same places.
 */
export async function withNextFiles<Result>(
  { checkout, target }: CheckoutUpdate,
  directory: string,
  change: ChangePlan,
  image: ImageIdentity,
  act: (files: NextFiles) => Promise<Result>,
): Promise<Result> {
  const top = await realpath(await mkdtemp(join(tmpdir(), 'landfall-next-')));
  try {
    const root = join(top, 'tree', checkout.root);
    await mkdir(root, { recursive: true });
    await linkNeighbours(join(top, 'tree'), checkout.root);
    await writeTracked(checkout, target, top, root);
    await linkUntracked(checkout, root);
    await edit(checkout, target, root, change, image);
    const inside = relative(checkout.root, await realpath(directory));
    const here = join(root, inside);
    await mkdir(here, { recursive: true });
    const real = (text: string) => text.replaceAll(here, resolve(directory)).replaceAll(join(top, 'tree'), '');
    return await act({ directory: here, real });
  } finally {
    await rm(top, { recursive: true, force: true });
  }
}

/** Compose files by absolute path lie in the checkout too, as a rule. */
export function nextName(file: string, directory: string, root: string): string {
  if (!isAbsolute(file)) return file;
  const inside = relative(root, file);
  return inside.startsWith('..') ? file : relative(directory, file);
}

/** What lies beside the checkout and the folders above it, for `../shared/common.env`. */
async function linkNeighbours(tree: string, path: string): Promise<void> {
  for (let below = path; dirname(below) !== below; below = dirname(below)) {
    const above = dirname(below);
    const names = await readdir(above).catch(() => []);
    for (const name of names.slice(0, mostSiblings)) {
      if (join(above, name) !== below) await symlink(join(above, name), join(tree, above, name));
    }
  }
}

async function writeTracked({ git, read }: Checkout, commit: string, top: string, root: string): Promise<void> {
  const env = { GIT_INDEX_FILE: join(top, 'index') };
  await read(['read-tree', commit], { env });
  const listed = await git(['ls-tree', '-r', '-l', '-z', '--full-tree', commit]);
  if (listed.exitCode !== 0) throw new Error(`git ls-tree of ${commit} failed: ${listed.stderr}`);
  const paths = listed.stdout
    .toString('utf8')
    .split('\0')
    .flatMap((line) => {
      const [, size = '', path = ''] = /^\d+ blob \S+ +(\d+)\t([\s\S]+)$/.exec(line) ?? [];
      return path !== '' && Number(size) <= largestFile ? [path] : [];
    });
  await read(['checkout-index', '--quiet', '--force', `--prefix=${root}/`, '-z', '--stdin'], { env, input: paths.join('\0') });
}

/** `.env`, env files and overrides that are not tracked, and submodules, which a deploy leaves as they are. */
async function linkUntracked({ root: real, read }: Checkout, root: string): Promise<void> {
  const others = await read(['ls-files', '--others', '--directory', '-z', '--', ':/']);
  const staged = await read(['ls-files', '--stage', '-z', '--', ':/']);
  const modules = staged.split('\0').flatMap((line) => /^160000 \S+ \d\t([\s\S]+)$/.exec(line)?.[1] ?? []);
  for (const path of [...others.split('\0'), ...modules]) {
    const name = path.replace(/\/$/, '');
    if (name !== '' && name !== '.git') await linkOne(join(real, name), join(root, name), root);
  }
}

/** A link in the commit's own files may lead anywhere: nothing is made behind one. */
async function linkOne(from: string, to: string, root: string): Promise<void> {
  if ((await lstat(to).catch(() => undefined)) !== undefined) return;
  for (let folder = dirname(to); folder.length > root.length; folder = dirname(folder)) {
    if ((await lstat(folder).catch(() => undefined))?.isSymbolicLink()) return;
  }
  await mkdir(dirname(to), { recursive: true }).catch(() => undefined);
  await symlink(from, to).catch(() => undefined);
}

/** What the proposal makes of the file. A link is not followed: git would not have it changed either. */
async function edit({ git }: Checkout, commit: string, root: string, change: ChangePlan, image: ImageIdentity): Promise<void> {
  const path = join(root, change.file);
  if (!(await lstat(path).catch(() => undefined))?.isFile()) return;
  const { exitCode, stdout } = await git(['cat-file', 'blob', `${commit}:${change.file}`]);
  if (exitCode !== 0) return;
  const { text } = editManifest(stdout.toString('utf8'), change, image);
  await rm(path);
  await writeFile(path, text, { flag: 'wx' });
}
