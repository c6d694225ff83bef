import { lstat, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { Refusal } from '../../domain/failures.ts';
import { editManifest } from '../../domain/manifest-edit/index.ts';
import type { ImageIdentity } from '../../domain/outcomes.ts';
import { type ChangedFile, filesOf } from '../../domain/plan.ts';
import { refused } from '../kit/refusals.ts';
import { type Checkout, type CheckoutUpdate, withCheckoutUpdate } from './checkout.ts';
import type { ComposeContext } from './context.ts';
import { type Definition, definition } from './definition.ts';
import { composeFiles, noFiles } from './files.ts';
import { changedComposeFile, readDefinition, requireCompose, requireSite } from './project.ts';

/** Larger ones are no compose or env files, and Compose reads no others. */
const largestFile = 1024 * 1024;
/** More than that beside a checkout are nobody's compose files. */
const mostSiblings = 1000;

/**
 * What Compose would make of the files once the image is merged. Changes nothing but git's remote-tracking refs.
 * @throws Refusal as the deploy itself: for a checkout that cannot go forward, or files that Compose cannot read
 */
export async function withNext<Result>(
  context: ComposeContext,
  signal: AbortSignal,
  act: (next: Definition, update?: CheckoutUpdate) => Promise<Result>,
): Promise<Result> {
  const { env, target } = context;
  const { services, files, project, directory } = target.deploy;
  return await withCheckoutUpdate(context, signal, async (update) => {
    if (update === undefined) return await act(await readDefinition(await requireSite(context), services));
    const compose = await requireCompose(env);
    const next = await withNextFiles(target, update, async (there, real) => {
      try {
        const names = files.map((file) => nextName(file, directory, update.root));
        const found = await composeFiles(there, names, changedComposeFile(target));
        if (found === undefined) throw noFiles(there, files);
        const site = { compose, directory: there, files: found, ...(project !== undefined && { project }) };
        return definition.parse(mapStrings(await readDefinition(site, services), real));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        throw refused(`${real(error.message)} (as they are at ${update.target.slice(0, 12)}, which is not deployed yet)`, error);
      }
    });
    return await act(next, update);
  });
}

/** Compose files by absolute path lie in the checkout too, as a rule. */
function nextName(file: string, directory: string, root: string): string {
  if (!isAbsolute(file)) return file;
  const inside = relative(root, file);
  return inside.startsWith('..') ? file : relative(directory, file);
}

function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((one) => mapStrings(one, map));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, mapStrings(one, map)]));
}

/**
 * Lays out what the checkout would have after the change, and touches nothing in the checkout: the files of the commit in a temporary
 * folder, the image written into the changed file, and symbolic links to what is not tracked. All of it lies under the same path as the
 * checkout, so that relative paths lead to the same places.
 * @param act gets the directory's path there, and what puts real paths in the place of those there, in whatever text
 */
async function withNextFiles<Result>(
  { stage: { change }, deploy: { directory }, image }: ComposeContext['target'],
  update: CheckoutUpdate,
  act: (there: string, real: (text: string) => string) => Promise<Result>,
): Promise<Result> {
  const top = await realpath(await mkdtemp(join(tmpdir(), 'landfall-next-')));
  try {
    const tree = join(top, 'tree');
    const root = join(tree, update.root);
    await mkdir(root, { recursive: true });
    await linkNeighbours(tree, update.root);
    await writeTracked(update, top, root);
    await linkUntracked(update, root);
    for (const file of change ? filesOf(change) : []) await edit(update, root, file, image);
    const there = join(root, relative(update.root, await realpath(directory)));
    await mkdir(there, { recursive: true });
    return await act(there, (text) => text.replaceAll(there, resolve(directory)).replaceAll(tree, ''));
  } finally {
    await rm(top, { recursive: true, force: true });
  }
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

async function writeTracked({ read, target }: CheckoutUpdate, top: string, root: string): Promise<void> {
  const env = { GIT_INDEX_FILE: join(top, 'index') };
  await read(['read-tree', target], { env });
  const listed = await read(['ls-tree', '-r', '-l', '-z', '--full-tree', target]);
  const paths = listed.split('\0').flatMap((line) => {
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

/** What the proposal makes of a file. A link is not followed: git would not have it changed either. */
async function edit({ git, target }: CheckoutUpdate, root: string, change: ChangedFile, image: ImageIdentity): Promise<void> {
  const path = join(root, change.file);
  if (!(await lstat(path).catch(() => undefined))?.isFile()) return;
  const { exitCode, stdout } = await git(['cat-file', 'blob', `${target}:${change.file}`]);
  if (exitCode !== 0) return;
  const { text } = editManifest(stdout.toString('utf8'), change, image);
  await rm(path);
  await writeFile(path, text, { flag: 'wx' });
}
