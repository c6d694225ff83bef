import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Files, type GitRemote, gitEnvironment } from '../../../test/support/git-remote.ts';
import { run } from '../run.ts';

/** What the repository of the demo has: a Dockerfile, what is served, and the test that each image runs before it may leave the builder. */
export function sourceFiles(base: string): Files {
  return {
    Dockerfile: `FROM ${base}\nCOPY www /www\nCOPY test.sh /app/test.sh\nCMD ["httpd", "-f", "-p", "8080", "-h", "/www"]\n`,
    'test.sh': `echo "testing $(cat /www/version)"\ntest "$(cat /www/health)" = well && exit 0\necho "fatal: /health would answer: $(cat /www/health)" >&2\nexit 1\n`,
    ...siteOf('1.0.0', 'well'),
  };
}

/** What a commit changes. */
export const siteOf = (version: string, health: string): Files => ({
  'www/health': `${health}\n`,
  'www/version': `${version}\n`,
});

export interface SourcePush {
  readonly commit: string;
  /** What git printed: of the repository's hook, too. */
  readonly said: string;
  /** Before `git push` began: Unix time, ms. */
  readonly at: number;
}

/** Commits as a person does, and pushes with `git push`. @param checkout a clone of the repository */
export async function pushCommit(checkout: string, files: Files, message: string, branch = 'main'): Promise<SourcePush> {
  for (const [path, content] of Object.entries(files)) if (content !== undefined) await writeFile(join(checkout, path), content);
  const env = {
    ...gitEnvironment(),
    ...{ GIT_AUTHOR_NAME: 'Ann', GIT_AUTHOR_EMAIL: 'ann@example.org' },
    ...{ GIT_COMMITTER_NAME: 'Ann', GIT_COMMITTER_EMAIL: 'ann@example.org' },
  };
  const git = (...words: string[]) => run('git', words, { env, cwd: checkout });
  await git('commit', '--quiet', '--all', '--message', message);
  const at = Date.now();
  // git's own words are on the error output; the shell joins them.
  const said = await run('sh', ['-c', 'git push origin "HEAD:$1" 2>&1', 'sh', branch], { env, cwd: checkout });
  return { commit: (await git('rev-parse', 'HEAD')).trim(), said: said.trim(), at };
}

/** The hook that tells of every push. */
export async function tellOfPushes(
  remote: GitRemote,
  { script, webhook, secret }: Readonly<Record<'script' | 'webhook' | 'secret', string>>,
) {
  await remote.hook(
    'post-receive',
    `DEMO_GIT_SECRET=${secret} exec '${process.execPath}' '${script}' '${webhook}' '${remote.url}'`,
  );
}
