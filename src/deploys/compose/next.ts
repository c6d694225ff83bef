import { relative } from 'node:path';
import type { ComposeProgram } from '../../platform/compose/find-compose.ts';
import { type Checkout, type CheckoutUpdate, withCheckoutUpdate } from './checkout.ts';
import { type Definition, definition } from './definition.ts';
import { composeFiles } from './files.ts';
import { nextName, withNextFiles } from './next-files.ts';
import { projectOf, type RenderedProject, readProject } from './project.ts';
import { requireCompose } from './query.ts';
import { isRefusal, refused } from './refusals.ts';
import { type ComposeContext, type ComposeTarget, changedComposeFile, findSite, noFiles, requireSite } from './site.ts';

/** A commit that came along. */
export interface OtherCommit {
  readonly commit: string;
  readonly author: string;
  readonly subject: string;
}

/** What a deploy would bring, before it happens. */
export interface NextDefinition {
  readonly project: RenderedProject;
  /** Absent without a repository. */
  readonly history?: CommitHistory;
}

/** The commits from what runs to what comes. */
export interface CommitHistory {
  readonly head: string;
  readonly target: string;
  /** Absolute paths of files that differ. */
  changedSince(commit: string): Promise<readonly string[]>;
  /**
   * Those that are not Landfall's own, newest first: of what Compose may read, and of these files; if there are none, of anything.
   * @param files absolute
   */
  commitsSince(commit: string, files: readonly string[]): Promise<readonly OtherCommit[]>;
}

const mostCommits = 10;
/** As git knows them: compose files, what they include, and env files. */
const readByCompose = ['yml', 'yaml', 'json', 'env', 'env.*'].map((ending) => `:(top,glob)**/*.${ending}`);
/** Short hash, author, subject, and the rollout of a commit of ours, each ended by NUL. */
const commitFormat = '--format=%h%x00%an%x00%s%x00%(trailers:key=Landfall-Rollout,valueonly,separator=%x2C)%x00';

/**
 * What Compose would make of the files once the image is merged. Changes nothing but git's remote-tracking refs.
 * @throws Refusal as the deploy itself: for a checkout that cannot go forward, or files that Compose cannot read
 */
export async function withNext<Result>(
  context: ComposeContext,
  target: ComposeTarget,
  signal: AbortSignal,
  act: (next: NextDefinition) => Promise<Result>,
): Promise<Result> {
  const { change } = target.stage;
  const { directory, services } = target.deploy;
  if (change === undefined) {
    const { compose, location } = requireSite(await findSite(context, target), target);
    return await act({ project: await readProject(compose, location, services) });
  }
  const compose = await requireCompose(context.env);
  return await withCheckoutUpdate(context.run, context.locks, directory, change, signal, async (update) => {
    const project = await withNextFiles(update, directory, change, target.image, async (files) => {
      const rendered = await render(compose, target, update, files.directory).catch((error: unknown) => {
        if (!isRefusal(error)) throw error;
        throw refused(
          `${files.real(error.message)} (as they are at ${update.target.slice(0, 12)}, which is not deployed yet)`,
          error,
        );
      });
      return projectOf(definition.parse(mapStrings(rendered, files.real)));
    });
    return await act({ project, history: historyOf(update) });
  });
}

async function render(
  compose: ComposeProgram,
  target: ComposeTarget,
  { checkout }: CheckoutUpdate,
  directory: string,
): Promise<Definition> {
  const { files, project, services, directory: real } = target.deploy;
  const names = files.map((file) => nextName(file, real, checkout.root));
  const found = await composeFiles(directory, names, changedComposeFile(target));
  if (found === undefined) throw noFiles(directory, files);
  const location = { directory, files: found, ...(project !== undefined && { project }) };
  return (await readProject(compose, location, services)).definition;
}

export function historyOf({ checkout, head, target }: CheckoutUpdate): CommitHistory {
  return {
    head,
    target,
    async changedSince(commit) {
      if (!(await leadsTo(checkout, commit, target))) return [];
      const names = await checkout.read(['diff', '--name-only', '-z', '--no-ext-diff', commit, target]);
      return names.split('\0').flatMap((name) => (name === '' ? [] : [`${checkout.root}/${name}`]));
    },
    async commitsSince(commit, files) {
      if (!(await leadsTo(checkout, commit, target))) return [];
      const own = files.map((file) => `:(top,literal)${relative(checkout.root, file)}`);
      const range = ['log', '--no-merges', '--max-count=200', '--abbrev=12', commitFormat, `${commit}..${target}`];
      const found = commitsIn(await checkout.read([...range, '--', ...readByCompose, ...own]));
      const all = found.length > 0 ? found : commitsIn(await checkout.read(range));
      return all.slice(0, mostCommits);
    },
  };
}

function commitsIn(text: string): OtherCommit[] {
  const fields = text.split('\0').map((field) => field.replace(/^\n/, ''));
  const commits: OtherCommit[] = [];
  for (let at = 0; at + 3 < fields.length; at += 4) {
    const [commit = '', author = '', subject = '', rollout = ''] = fields.slice(at, at + 4);
    if (rollout.trim() === '') commits.push({ commit, author: author.slice(0, 80), subject: subject.slice(0, 120) });
  }
  return commits;
}

/** False for a rewritten history, or a commit that is gone: then nothing can be compared. */
async function leadsTo({ git }: Checkout, commit: string, target: string): Promise<boolean> {
  return (await git(['merge-base', '--is-ancestor', commit, target])).exitCode === 0;
}

function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((one) => mapStrings(one, map));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, mapStrings(one, map)]));
}
