import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Files by path; `undefined` removes one. */
export type Files = Readonly<Record<string, string | Uint8Array | undefined>>;

/** A bare repository in a temporary folder, changed and read by real git, without any code of ours that is tested with it. */
export interface GitRemote {
  readonly folder: string;
  /** The same as a `file:` URL. */
  readonly url: string;
  /** Commits on a branch (made from `main` where there is none) and answers the new commit; fails where somebody pushed to it meanwhile. */
  commit(branch: string, files: Files, message: string, author?: string): Promise<string>;
  /** The text of a file on a branch or at a commit; fails where there is none. */
  read(branch: string, path: string): Promise<string>;
  /** Newest first. */
  log(branch: string): Promise<{ sha: string; parents: string[]; author: string; message: string }[]>;
  /** `git diff` without context lines. */
  diff(a: string, b: string): Promise<string>;
  branches(): Promise<string[]>;
  /** Puts a shell script in place as a hook of the repository. */
  hook(name: string, script: string): Promise<void>;
  /** Moves a branch to a commit like its last one, where the file has another mode (`100755`, `120000` for a symbolic link). */
  changeMode(branch: string, path: string, mode: string): Promise<string>;
  /** Any git command on the repository; answers what it printed. */
  git(...args: string[]): Promise<string>;
  destroy(): Promise<void>;
}

/** A `pre-receive` hook: before the first push is taken, somebody else commits to `main`. @param mark a file that does not exist yet */
export function somebodyIsFaster(mark: string): string {
  const person =
    'GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.org GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=ann@example.org';
  return [
    `test -e ${mark} && exit 0; touch ${mark}`,
    // Or git would put the commit where it disappears again, should the push be refused.
    'unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES',
    `new=$(${person} git commit-tree 'refs/heads/main^{tree}' -p refs/heads/main -m faster)`,
    'git update-ref refs/heads/main "$new"',
  ].join('\n');
}

/** The environment of git in tests: nothing of the configuration of whoever runs them. */
export function gitEnvironment(): Record<string, string | undefined> {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'));
  return { ...Object.fromEntries(own), GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', HOME: tmpdir() };
}

export async function createRemote({ files }: { readonly files: Files }): Promise<GitRemote> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-remote-'));
  const git = (args: readonly string[], options?: GitOptions) => runGit([`--git-dir=${folder}`, ...args], options);
  await runGit(['init', '--quiet', '--bare', '--initial-branch=main', folder]);

  async function commit(branch: string, changed: Files, message: string, author = 'Ann Person'): Promise<string> {
    const ref = `refs/heads/${branch}`;
    const known = await branches();
    const from = [branch, 'main'].find((name) => known.includes(name));
    // Asked once: Landfall may push meanwhile, and what it has pushed must neither be undone nor lost.
    const parent = from === undefined ? undefined : (await git(['rev-parse', `refs/heads/${from}`])).trim();
    const env = { GIT_INDEX_FILE: join(folder, `index-${randomUUID()}`), ...identity(author) };
    if (parent !== undefined) await git(['read-tree', parent], { env });
    for (const [path, content] of Object.entries(changed)) {
      if (content === undefined) {
        await git(['update-index', '--index-info'], { env, input: `0 ${'0'.repeat(40)}\t${path}\n` });
        continue;
      }
      const blob = (await git(['hash-object', '-w', '--stdin'], { input: content })).trim();
      await git(['update-index', '--add', '--cacheinfo', `100644,${blob},${path}`], { env });
    }
    const tree = (await git(['write-tree'], { env })).trim();
    const parents = parent === undefined ? [] : ['-p', parent];
    const sha = (await git(['commit-tree', tree, ...parents, '-F', '-'], { env, input: message })).trim();
    await git(['update-ref', ref, sha, from === branch && parent !== undefined ? parent : '0'.repeat(40)]);
    await rm(env.GIT_INDEX_FILE, { force: true });
    return sha;
  }

  async function changeMode(branch: string, path: string, mode: string): Promise<string> {
    const env = { GIT_INDEX_FILE: join(folder, `index-${randomUUID()}`), ...identity('Ann Person') };
    const blob = (await git(['rev-parse', `${branch}:${path}`])).trim();
    await git(['read-tree', branch], { env });
    await git(['update-index', '--cacheinfo', `${mode},${blob},${path}`], { env });
    const tree = (await git(['write-tree'], { env })).trim();
    const sha = (await git(['commit-tree', tree, '-p', branch, '-m', `mode ${mode}`], { env })).trim();
    await git(['update-ref', `refs/heads/${branch}`, sha]);
    await rm(env.GIT_INDEX_FILE, { force: true });
    return sha;
  }

  async function branches(): Promise<string[]> {
    const names = await git(['for-each-ref', '--format=%(refname:lstrip=2)', 'refs/heads']);
    return names.split('\n').filter((name) => name !== '');
  }

  await commit('main', files, 'first');
  return {
    folder,
    url: `file://${folder}`,
    commit,
    branches,
    read: (branch, path) => git(['cat-file', 'blob', `${branch}:${path}`]),
    async log(branch) {
      const entries = await git(['log', '-z', '--topo-order', '--format=%H%n%P%n%an%n%B', branch, '--']);
      return entries
        .split('\0')
        .filter((entry) => entry !== '')
        .map((entry) => {
          const [sha = '', parents = '', author = '', ...message] = entry.split('\n');
          return {
            sha,
            parents: parents.split(' ').filter((parent) => parent !== ''),
            author,
            message: message.join('\n').trimEnd(),
          };
        });
    },
    diff: (a, b) => git(['diff', '-U0', a, b]),
    async hook(name, script) {
      const path = join(folder, 'hooks', name);
      await writeFile(path, `#!/bin/sh\n${script}\n`);
      await chmod(path, 0o755);
    },
    changeMode,
    git: (...args) => git(args),
    destroy: () => rm(folder, { recursive: true, force: true }),
  };
}

function identity(author: string): Record<string, string> {
  const email = `${author.toLowerCase().replaceAll(' ', '.')}@example.org`;
  return { GIT_AUTHOR_NAME: author, GIT_AUTHOR_EMAIL: email, GIT_COMMITTER_NAME: author, GIT_COMMITTER_EMAIL: email };
}

interface GitOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Record<string, string>;
}

function runGit(args: readonly string[], { input, env }: GitOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      'git',
      args,
      { env: { ...gitEnvironment(), ...env }, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout) => {
        if (error === null) resolve(stdout);
        else reject(error);
      },
    );
    if (input === undefined) child.stdin?.end();
    else child.stdin?.on('error', reject).end(input);
  });
}

export interface GitCredentials {
  readonly username: string;
  readonly password: string;
}

/** git's environment with a credential helper, as an operator gives one to the worker. */
export function withCredentialHelper({ username, password }: GitCredentials): Record<string, string> {
  const helper = '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$GIT_TEST_USER" "$GIT_TEST_PASSWORD"; }; f';
  return {
    ...gitEnvironment(),
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'credential.helper',
    GIT_CONFIG_VALUE_0: helper,
    GIT_TEST_USER: username,
    GIT_TEST_PASSWORD: password,
  };
}

export interface HttpRemote {
  /** `http://127.0.0.1:PORT/` */
  readonly url: string;
  /** Answers every request with a status from now on; undefined: git answers again. */
  answerWith(status: number | undefined): void;
  readonly requests: readonly string[];
  stop(): Promise<void>;
}

/** The same repository over http, by `git http-backend`; with `credentials`, only for those who have them. @param path beneath which it is */
export async function serveOverHttp({ folder }: GitRemote, credentials?: GitCredentials, path = ''): Promise<HttpRemote> {
  await runGit([`--git-dir=${folder}`, 'config', 'http.receivepack', 'true']);
  const expected = credentials && `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
  const requests: string[] = [];
  let fault: number | undefined;
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (fault !== undefined) response.writeHead(fault).end('not now');
    else if (!request.url?.startsWith(`${path}/`)) response.writeHead(404).end();
    else if (expected !== undefined && request.headers.authorization !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    } else handOver(folder, request.url.slice(path.length), request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a port');
  const { port } = address;
  return {
    url: `http://127.0.0.1:${port}/`,
    answerWith(status) {
      fault = status;
    },
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A request through git's own CGI program, and its answer back. */
function handOver(folder: string, address: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(address, 'http://localhost');
  const child = spawn('git', ['http-backend'], {
    env: {
      ...gitEnvironment(),
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REQUEST_METHOD: request.method,
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      REMOTE_USER: 'somebody',
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  // git may answer, and end, before it has read all: what it answers is then what counts.
  child.stdin.on('error', () => request.unpipe(child.stdin));
  request.pipe(child.stdin);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.on('close', () => {
    const answer = Buffer.concat(chunks);
    const end = answer.indexOf('\r\n\r\n');
    const headers = answer.subarray(0, end).toString('latin1').split('\r\n');
    const status = Number(/^Status: (\d+)/m.exec(headers.join('\n'))?.[1] ?? 200);
    const fields = headers.filter((line) => !line.startsWith('Status:')).map((line) => line.split(': ', 2) as [string, string]);
    response.writeHead(status, Object.fromEntries(fields)).end(answer.subarray(end + 4));
  });
}
