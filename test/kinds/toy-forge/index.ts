import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { defineForge, type Forge } from '../../../src/forges/forge.ts';
import { map } from '../../../src/settings/wording.ts';

const prefix = 'toy:';
const folderOf = (repository: string): string => repository.slice(prefix.length);

/** Git, with the text of each proposal beside the repository. */
export const toyForge = defineForge({
  kind: 'toy',
  section: {
    schema: () => map({ letters: z.string() }, 'Where proposals are written down.'),
    needed: (repository) => `expected forge.toy with letters, because ${repository} is a toy`,
  },
  accepts: (repository) => repository.startsWith(prefix),
  async create({ data, env }, section): Promise<Forge> {
    const { createGitForge } = await import('../../../src/forges/git/forge.ts');
    const git = createGitForge({ folder: join(data, 'toy'), env });
    return {
      head: (repository, branch) => git.head(folderOf(repository), branch),
      readFile: (repository, commit, path) => git.readFile(folderOf(repository), commit, path),
      compare: (repository, base, head) => git.compare(folderOf(repository), base, head),
      changes: (repository, base, head) => git.changes(folderOf(repository), base, head),
      commitFiles: (commit) => git.commitFiles({ ...commit, repository: folderOf(commit.repository) }),
      async openChange(change) {
        await writeFile(join(section?.letters ?? '', 'letter.md'), change.body);
        return await git.openChange({ ...change, repository: folderOf(change.repository) });
      },
      reportChecks: async () => {},
      state: (repository, proposal, own) => git.state(folderOf(repository), proposal, own),
      merge: (merge) => git.merge({ ...merge, repository: folderOf(merge.repository) }),
      deleteBranch: (repository, branch, head) => git.deleteBranch(folderOf(repository), branch, head),
      close: (repository, proposal) => git.close(folderOf(repository), proposal),
      lastChange: (repository, commit, path) => git.lastChange(folderOf(repository), commit, path),
      remote: (repository) => git.remote(folderOf(repository)),
    };
  },
});
