import assert from 'node:assert/strict';
import { createForgeFor, type Forge } from '../../src/forges/forge.ts';
import { forges } from '../../src/forges/index.ts';

const forge = (url: string): Forge => ({
  head: async () => undefined,
  readFile: async () => undefined,
  changes: async () => ({ files: [], more: false }),
  compare: async () => ({ commits: [], behindBy: 0 }),
  commitFiles: async () => '',
  openChange: async ({ branch, base, head }) => ({ kind: 'branch', url, branch, base, head }),
  reportChecks: async () => {},
  state: async () => ({ kind: 'closed' }),
  merge: async () => ({ kind: 'queued' }),
  deleteBranch: async () => {},
  close: async () => {},
  lastChange: async () => undefined,
  remote: async (url) => ({ url, env: {} }),
});

describe('the forge of a repository', () => {
  const [github, git] = [forge('github'), forge('git')];
  const withGitHub = createForgeFor(forges, new Map(Object.entries({ github, git })));
  const without = createForgeFor(forges, new Map(Object.entries({ git })));

  for (const repository of ['PitchConnect/fogis-deployment', 'a/b', 'team-1/deploy.yml_2', 'short_name/x', 'a/.github']) {
    it(`is GitHub for ${repository}`, () => {
      assert.equal(withGitHub(repository), github);
    });

    it(`is refused for ${repository} where GitHub is not configured, and the setting named`, () => {
      assert.throws(() => without(repository), { type: 'ForgeRefused', message: /forge\.github/ });
    });
  }

  for (const repository of [
    'https://git.example.org/team/deployment.git',
    'ssh://git@git.example.org/team/deployment',
    'git@git.example.org:team/deployment.git',
    'git.example.org:deployment',
    'file:///srv/git/deployment',
    '/srv/git/deployment',
    './git/deployment',
    '../deployment',
    'a/..',
    'git.example.org/team/deployment',
  ]) {
    it(`is plain git for ${repository}`, () => {
      assert.equal(withGitHub(repository), git);
      assert.equal(without(repository), git);
    });
  }
});
