import { z } from 'zod';
import { account, commitHash, part, present, printableLine, texts } from './reading.ts';
import type { CommitPush, ParsedRequest } from './source.ts';

/** What GitHub, Gitea and Forgejo send when commits are pushed. */
const eventSchema = z.object({
  ...texts('ref', 'before', 'after'),
  deleted: z.boolean().optional().catch(undefined),
  repository: part(texts('full_name', 'clone_url', 'ssh_url', 'html_url')),
  sender: z.union([account, part(texts('login', 'username'))]).catch(undefined),
});

/** What a sender says of a push of commits, in its own words. */
export interface WrittenCommits {
  readonly repositories: readonly (string | undefined)[];
  readonly ref: string | undefined;
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  readonly actor?: string | undefined;
}

/** @returns what of it builds need, or why nothing can be built of it */
export function commitsOf({
  repositories,
  ref,
  before,
  after,
  actor,
}: WrittenCommits): Pick<ParsedRequest, 'commits' | 'ignored'> {
  const branch = /^refs\/heads\/([\w][\w./+-]*)$/.exec(ref ?? '')?.[1];
  const named = repositories.flatMap((repository) => printableLine(repository, 300) ?? []);
  if (branch === undefined) return { ignored: 'expected the push of a branch' };
  if (named.length === 0) return { ignored: 'expected the repository that was pushed to' };
  if (after !== undefined && /^0+$/.test(after)) return { ignored: 'the branch was deleted' };
  const known = before !== undefined && /^0+$/.test(before) ? undefined : commitHash(before);
  const commits: CommitPush = {
    repositories: named,
    branch,
    ...present({ before: known, after: commitHash(after), actor: printableLine(actor, 100) }),
  };
  return { commits };
}

/** The event `push` of a forge. */
export function readPushEvent(body: object): Pick<ParsedRequest, 'commits' | 'ignored'> {
  const { ref, before, after, deleted, repository, sender } = eventSchema.parse(body);
  if (deleted) return { ignored: 'the branch was deleted' };
  const { full_name: name, clone_url: clone, ssh_url: ssh, html_url: page } = repository ?? {};
  return commitsOf({ repositories: [name, clone, ssh, page], ref, before, after, actor: sender?.login });
}
