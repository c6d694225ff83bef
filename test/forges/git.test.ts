import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BranchMoved, FilesCommit, Forge } from '../../src/forges/forge.ts';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { createGitRunner } from '../../src/platform/git/command.ts';
import { createRemote, type GitRemote, gitEnvironment, serveOverHttp, withCredentialHelper } from '../support/git-remote.ts';

const compose = 'services:\n  web:\n    image: nginx:1 # keep\n';

describe('plain git as a forge', () => {
  let remote: GitRemote;
  let folder: string;
  let forge: Forge;

  beforeEach(async () => {
    remote = await createRemote({ files: { 'docker-compose.yml': compose, 'docs/notes.txt': 'unrelated\n' } });
    folder = await mkdtemp(join(tmpdir(), 'landfall-clones-'));
    forge = createGitForge({ folder, env: gitEnvironment() });
  });

  afterEach(async () => {
    await remote.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  async function baseHead(repository = remote.folder): Promise<string> {
    const head = await forge.head(repository, 'main');
    assert.ok(head !== undefined, 'main has a head');
    return head;
  }

  const two = compose.replace('nginx:1', 'nginx:2');
  async function proposal({ text = two, ...fields }: Partial<FilesCommit & { text: string }> = {}): Promise<FilesCommit> {
    const base = await baseHead(fields.repository);
    return {
      repository: remote.folder,
      branch: 'landfall/web-production',
      parents: [base],
      treeOf: base,
      files: [{ path: 'docker-compose.yml', text }],
      message: 'chore: update web image\n\nLandfall-Rollout: rollout:web:2:abc',
      ...fields,
    };
  }

  describe('reading', () => {
    it('says where a branch is, and that there is none', async () => {
      const [newest] = await remote.log('main');
      assert.equal(await forge.head(remote.folder, 'main'), newest?.sha);
      assert.equal(await forge.head(remote.folder, 'nowhere'), undefined);
    });

    it('does not take a ref whose name only ends like the branch', async () => {
      await remote.git('update-ref', 'refs/other/refs/heads/lookalike', 'main');
      assert.equal(await forge.head(remote.folder, 'lookalike'), undefined);
    });

    it('sees a branch that moved since it last looked, by path and by file URL', async () => {
      for (const repository of [remote.folder, remote.url]) {
        await forge.head(repository, 'main');
        const moved = await remote.commit('main', { 'docs/notes.txt': `${repository}\n` }, 'more');
        assert.equal(await forge.head(repository, 'main'), moved);
        assert.equal(await forge.readFile(repository, moved, 'docs/notes.txt'), `${repository}\n`);
      }
    });

    it('sees a branch that was rewound by force', async () => {
      const first = await baseHead();
      await remote.commit('main', { 'docs/notes.txt': 'second\n' }, 'second');
      await baseHead();
      await remote.git('update-ref', 'refs/heads/main', first);
      const rewritten = await remote.commit('main', { 'docs/notes.txt': 'other\n' }, 'other');
      assert.equal(await baseHead(), rewritten);
      assert.equal(await forge.readFile(remote.folder, rewritten, 'docs/notes.txt'), 'other\n');
    });

    it('follows branches whose names are folders of one another', async () => {
      const short = await remote.commit('release', { a: '1' }, 'short');
      assert.equal(await forge.head(remote.folder, 'release'), short);
      await remote.git('branch', '-D', 'release');
      const long = await remote.commit('release/1', { a: '2' }, 'long');
      assert.equal(await forge.head(remote.folder, 'release/1'), long);
    });

    it('gives every byte of a text: byte order mark, CRLF, no line end at the end', async () => {
      const text = '\uFEFFa: 1\r\nö: "2"\r\nlast';
      const commit = await remote.commit('main', { 'a b/[x]*.yml': text }, 'odd');
      await baseHead();
      assert.equal(await forge.readFile(remote.folder, commit, 'a b/[x]*.yml'), text);
    });

    it('knows no file where there is none, or a folder', async () => {
      const base = await baseHead();
      assert.equal(await forge.readFile(remote.folder, base, 'missing.yml'), undefined);
      assert.equal(await forge.readFile(remote.folder, base, 'docs'), undefined);
      assert.equal(await forge.readFile(remote.folder, base, '*.yml'), undefined);
      assert.equal(await forge.readFile(remote.folder, base, './docker-compose.yml'), undefined);
      assert.equal(await forge.readFile(remote.folder, base, 'docs/../docker-compose.yml'), undefined);
    });

    it('refuses what is no UTF-8 text, and a symbolic link', async () => {
      await remote.commit('main', { 'latin1.yml': Buffer.from('caf\xe9', 'latin1'), link: 'docs/notes.txt' }, 'odd');
      await assert.rejects(forge.readFile(remote.folder, await baseHead(), 'latin1.yml'), {
        type: 'EditRefused',
        message: /UTF-8/,
      });
      await remote.changeMode('main', 'link', '120000');
      await assert.rejects(forge.readFile(remote.folder, await baseHead(), 'link'), {
        type: 'EditRefused',
        message: /symbolic link to docs\/notes\.txt/,
      });
    });

    it('compares: what the head has, oldest first, and how far it is behind', async () => {
      const start = await baseHead();
      const first = await remote.commit('topic', { a: '1' }, 'first of topic\n\nwith a body', 'Ann Person');
      const second = await remote.commit('topic', { a: '2' }, 'second of topic', 'Bob Other');
      const ahead = await remote.commit('main', { b: '1' }, 'meanwhile');
      const [base, head] = [await baseHead(), await forge.head(remote.folder, 'topic')];
      assert.deepEqual([base, head], [ahead, second]);
      assert.deepEqual(await forge.compare(remote.folder, ahead, second), {
        commits: [
          { sha: first, author: 'Ann Person', message: 'first of topic\n\nwith a body' },
          { sha: second, author: 'Bob Other', message: 'second of topic' },
        ],
        behindBy: 1,
      });
      assert.deepEqual(await forge.compare(remote.folder, start, start), { commits: [], behindBy: 0 });
    });
  });

  describe('committing', () => {
    it('makes a branch whose only change is the file, as Landfall', async () => {
      const made = await forge.commitFiles(await proposal());
      const [newest, ...older] = await remote.log('landfall/web-production');
      assert.equal(newest?.sha, made);
      assert.equal(newest?.author, 'Landfall');
      assert.match(newest?.message ?? '', /^Landfall-Rollout: rollout:web:2:abc$/m);
      assert.equal(older.length, 1);
      const diff = (await remote.diff('main', made)).split('\n').filter((line) => /^[-+](?![-+])/.test(line));
      assert.deepEqual(diff, ['-    image: nginx:1 # keep', '+    image: nginx:2 # keep']);
    });

    it('keeps the mode of the file', async () => {
      await remote.changeMode('main', 'docker-compose.yml', '100755');
      const made = await forge.commitFiles(await proposal());
      assert.match(await remote.git('ls-tree', made, 'docker-compose.yml'), /^100755 /);
    });

    it('finds its commit when it is asked again after a push whose answer was lost', async () => {
      const commit = await proposal();
      const made = await forge.commitFiles(commit);
      const later = { GIT_AUTHOR_DATE: '2040-01-01T00:00:00Z', GIT_COMMITTER_DATE: '2040-01-01T00:00:00Z' };
      const retry = createGitForge({ folder, env: { ...gitEnvironment(), ...later } });
      assert.equal(await retry.commitFiles(commit), made);
      assert.equal((await remote.log(commit.branch)).length, 2);
    });

    it('goes on from the head that it expects, with two parents', async () => {
      const first = await forge.commitFiles(await proposal());
      const base = await remote.commit('main', { 'docs/notes.txt': 'meanwhile\n' }, 'meanwhile');
      const text = compose.replace('nginx:1', 'nginx:3');
      const second = await forge.commitFiles(await proposal({ expectedHead: first, parents: [first, base], treeOf: base, text }));
      assert.deepEqual((await remote.log('landfall/web-production'))[0]?.parents, [first, base]);
      assert.equal(await remote.read(second, 'docs/notes.txt'), 'meanwhile\n');
    });

    it('says that the branch moved, and leaves it alone, when somebody pushed in between', async () => {
      const moved = (error: BranchMoved) => error.name === 'BranchMoved';
      const expectedHead = await forge.commitFiles(await proposal());
      const theirs = await remote.commit('landfall/web-production', { 'docs/notes.txt': 'mine\n' }, 'by hand');
      const text = compose.replace('nginx:1', 'nginx:3');
      await assert.rejects(forge.commitFiles(await proposal({ expectedHead, parents: [expectedHead], text })), moved);
      await assert.rejects(forge.commitFiles(await proposal({ text })), moved, 'expected no branch, and there is one');
      await remote.git('branch', '-D', 'landfall/web-production');
      await assert.rejects(forge.commitFiles(await proposal({ expectedHead: theirs, parents: [theirs], text })), moved);
    });

    it('never rewinds a branch', async () => {
      const expectedHead = await forge.commitFiles(await proposal());
      await assert.rejects(forge.commitFiles(await proposal({ expectedHead })), /among the parents/);
    });

    it('lets one of many win that push at the same time, from one process or several', async () => {
      const second = createGitForge({ folder: join(folder, 'second'), env: gitEnvironment() });
      const commit = await proposal();
      const attempts = [forge, second, forge, second].map((each, number) =>
        each.commitFiles({ ...commit, files: [{ path: 'docker-compose.yml', text: `nginx:${number + 2}\n` }] }),
      );
      const results = await Promise.allSettled(attempts);
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.name] : []));
      assert.deepEqual(lost, ['BranchMoved', 'BranchMoved', 'BranchMoved']);
      assert.equal((await remote.log(commit.branch)).length, 2);
    });

    it('tells what a hook of the remote says when it refuses', async () => {
      await remote.hook('pre-receive', 'echo "only on Mondays" >&2; exit 1');
      await assert.rejects(forge.commitFiles(await proposal()), {
        type: 'ForgeRefused',
        message: /hook declined.*only on Mondays/,
      });
    });

    it('does not run the hooks of whoever runs Landfall', async () => {
      const hooks = await mkdtemp(join(folder, 'hooks-'));
      for (const hook of ['pre-push', 'reference-transaction']) {
        await writeFile(join(hooks, hook), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
      }
      const env = { ...gitEnvironment(), GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'core.hooksPath', GIT_CONFIG_VALUE_0: hooks };
      forge = createGitForge({ folder, env });
      assert.match(await forge.commitFiles(await proposal()), /^[0-9a-f]{40}$/);
    });
  });

  describe('the clone', () => {
    const clone = async () => join(folder, (await readdir(folder)).find((name) => name.endsWith('.git')) ?? 'none');

    it('works on after a killed git left its lock files, an index and half a clone', async () => {
      await baseHead();
      const old = new Date(Date.now() - 3_600_000);
      const left = ['packed-refs.lock', 'HEAD.lock', 'config.lock', 'landfall-index-1', 'landfall-index-1.lock'];
      const refs = (await readdir(join(await clone(), 'refs/landfall'))).map((ref) => `refs/landfall/${ref}.lock`);
      const paths = await Promise.all([...left, ...refs].map(async (name) => join(await clone(), name)));
      paths.push((await clone()).replace(/\.git$/, '.new-half'));
      for (const path of paths) {
        await writeFile(path, '');
        await utimes(path, old, old);
      }
      await remote.commit('main', { 'docs/notes.txt': 'newer\n' }, 'newer');
      forge = createGitForge({ folder, env: gitEnvironment() });
      await forge.commitFiles(await proposal());
      const names = await readdir(folder, { recursive: true });
      assert.deepEqual(
        names.filter((name) => /\.lock$|landfall-index|new-half/.test(name)),
        [],
      );
    });

    it('is made anew when it is broken: no HEAD, no objects, empty objects', async () => {
      const base = await baseHead();
      for (const harm of ['HEAD', 'objects', 'content'] as const) {
        await forge.readFile(remote.folder, base, 'docker-compose.yml');
        if (harm === 'content') await emptyEveryObject(await clone());
        else await rm(join(await clone(), harm), { recursive: true });
        assert.equal(await forge.readFile(remote.folder, base, 'docker-compose.yml'), compose, harm);
        await remote.commit('main', { 'docs/notes.txt': `${harm}\n` }, harm);
        assert.match(await forge.commitFiles(await proposal({ branch: `landfall/${harm}` })), /^[0-9a-f]{40}$/);
      }
    });

    it('may be deleted between two calls', async () => {
      const base = await baseHead();
      await rm(folder, { recursive: true });
      assert.equal(await forge.readFile(remote.folder, base, 'docker-compose.yml'), compose);
    });

    async function emptyEveryObject(path: string): Promise<void> {
      const files = await readdir(join(path, 'objects'), { recursive: true, withFileTypes: true });
      for (const file of files.filter((entry) => entry.isFile())) await truncate(join(file.parentPath, file.name), 0);
    }
  });

  describe('over http', () => {
    const credentials = { username: 'landfall', password: 'p@ss:w/ord' };

    it('reads, commits and pushes with what a credential helper says', async () => {
      const server = await serveOverHttp(remote, credentials);
      try {
        forge = createGitForge({ folder, env: withCredentialHelper(credentials) });
        const commit = await proposal({ repository: server.url });
        const head = await forge.commitFiles(commit);
        const change = { ...commit, base: 'main', head, title: '', body: '', labels: [], reviewers: [], assignees: [] };
        assert.deepEqual(await forge.openChange(change), {
          kind: 'branch',
          url: `${server.url}#landfall/web-production`,
          branch: 'landfall/web-production',
          base: 'main',
          head,
        });
        assert.equal(await remote.read('landfall/web-production', 'docker-compose.yml'), commit.files[0]?.text);
      } finally {
        await server.stop();
      }
    });

    it('is refused without credentials and with wrong ones, and the error holds no secret', async () => {
      const server = await serveOverHttp(remote, credentials);
      try {
        for (const env of [gitEnvironment(), withCredentialHelper({ ...credentials, password: 'guessed-wrong' })]) {
          forge = createGitForge({ folder, env });
          await assert.rejects(forge.head(server.url, 'main'), (error: Error & { type?: string }) => {
            assert.equal(error.type, 'CredentialsRefused');
            assert.doesNotMatch(`${error.message} ${error.stack}`, /guessed-wrong|p@ss/);
            return true;
          });
        }
      } finally {
        await server.stop();
      }
    });

    it('tells apart: no such repository, no right, too many requests, and a server that is broken', async () => {
      const server = await serveOverHttp(remote);
      try {
        const failure = async (status: number) => {
          server.answerWith(status);
          const error: unknown = await forge.head(server.url, 'main').catch((caught: unknown) => caught);
          return error instanceof Error ? error.name : error;
        };
        assert.equal(await failure(404), 'ForgeRefused');
        assert.equal(await failure(403), 'CredentialsRefused');
        assert.equal(await failure(429), 'RateLimit');
        assert.equal(await failure(500), 'Error');
        server.answerWith(undefined);
        assert.equal(await forge.head(server.url, 'main'), (await remote.log('main'))[0]?.sha);
      } finally {
        await server.stop();
      }
    });
  });

  describe('over ssh', () => {
    /** Stands in for the ssh program: a script that gets ssh's arguments, the last of which is the command for the remote side. */
    async function overSsh(script: string): Promise<Forge> {
      const ssh = join(folder, 'ssh');
      await writeFile(ssh, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      return createGitForge({ folder, env: { ...gitEnvironment(), GIT_SSH_COMMAND: ssh, GIT_SSH_VARIANT: 'simple' } });
    }

    it('reads and pushes, by URL and by the short form', async () => {
      forge = await overSsh('for command; do :; done; eval "$command"');
      for (const repository of [`ssh://git@host.invalid${remote.folder}`, `git@host.invalid:${remote.folder}`]) {
        const made = await forge.commitFiles(await proposal({ repository, branch: `landfall/${repository.slice(0, 3)}` }));
        assert.equal(await remote.read(made, 'docker-compose.yml'), compose.replace('nginx:1', 'nginx:2'));
      }
    });

    it('tells a refused key and an unknown host from a broken connection', async () => {
      const failure = async (says: string) => {
        forge = await overSsh(`echo "${says}" >&2; exit 255`);
        const error: unknown = await forge
          .head('git@host.invalid:team/deployment.git', 'main')
          .catch((caught: unknown) => caught);
        return error instanceof Error ? error.name : error;
      };
      assert.equal(await failure('git@host.invalid: Permission denied (publickey,password).'), 'CredentialsRefused');
      assert.equal(await failure('Host key verification failed.'), 'CredentialsRefused');
      assert.equal(await failure('ERROR: Repository not found.'), 'ForgeRefused');
      assert.equal(await failure('ssh: connect to host host.invalid port 22: Connection timed out'), 'Error');
    });
  });

  it('gives git what it needs to sign in, and none of our secrets', async () => {
    const needed = {
      SSH_AUTH_SOCK: '/run/agent',
      GIT_AUTHOR_NAME: 'ann',
      https_proxy: 'http://proxy:3128',
      XDG_CONFIG_HOME: '/config',
    };
    const withheld = { GITHUB_TOKEN: 'a-secret', ANN_TOKEN_HASH: 'a-secret', GIT_DIR: '/elsewhere' };
    const git = createGitRunner('git', { ...gitEnvironment(), ...needed, ...withheld });
    const { stdout } = await git(['-c', 'alias.show-environment=!env', 'show-environment']);
    const seen = new Map(
      stdout
        .toString()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line]),
    );
    for (const [name, value] of Object.entries(needed)) assert.equal(seen.get(name), `${name}=${value}`);
    for (const name of Object.keys(withheld)) assert.equal(seen.has(name), false, name);
  });

  describe('remotes that cannot be', () => {
    it('refuses a folder that is no repository', async () => {
      await assert.rejects(forge.head(join(folder, 'nothing'), 'main'), { type: 'ForgeRefused', message: /no git repository/ });
    });

    it('refuses what git would run as a command', async () => {
      for (const repository of ['ext::sh -c "touch x"', '--upload-pack=touch', 'ftp://example.org/x', '']) {
        await assert.rejects(forge.head(repository, 'main'), { type: 'ForgeRefused' }, repository);
      }
    });

    it('tries again when nobody listens', async () => {
      const server = await serveOverHttp(remote);
      const url = server.url;
      await server.stop();
      await assert.rejects(forge.head(url, 'main'), { name: 'Error', message: /git ls-remote with http.*failed/ });
    });

    it('says so when there is no git', async () => {
      const missing = createGitForge({ folder, env: gitEnvironment(), git: join(folder, 'no-git') });
      await assert.rejects(missing.head(remote.folder, 'main'), /could not run .*install git/);
    });
  });
});
