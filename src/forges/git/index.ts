import { join } from 'node:path';
import { defineForge } from '../forge.ts';

/** Any git remote, by URL or path: a proposal is a branch. (A path of two components is written `./deployment/repository`.) */
export const gitForge = defineForge({
  kind: 'git',
  accepts: () => true,
  async create({ data, env }) {
    const { createGitForge } = await import('./forge.ts');
    return createGitForge({ folder: join(data, 'git'), env });
  },
});
