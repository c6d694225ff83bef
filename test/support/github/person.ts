import { allPermissions } from './access.ts';
import { noCommit } from './git-repository.ts';
import { findRepository, refreshPulls, type World } from './state.ts';

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Somebody beside Landfall who may do everything, and does it through the API. Each fails where GitHub says no. */
export interface Person {
  readonly login: string;
  ask(method: string, path: string, body?: unknown): Promise<Answer>;
  /** @param commit absent: the head @returns the review's id */
  review(number: number, event: 'APPROVE' | 'REQUEST_CHANGES' | 'COMMENT', commit?: string): Promise<number>;
  dismiss(number: number, review: number): Promise<void>;
  merge(number: number, method?: 'merge' | 'squash' | 'rebase'): Promise<string>;
  close(number: number): Promise<void>;
  /** Moves a branch to a commit by force, or deletes it. */
  forcePush(branch: string, commit: string | undefined): Promise<void>;
}

export function personOf(world: World, fullName: string, login: string): Person {
  const token = `ghp_${login}`;
  if (!world.tokens.has(token)) world.tokens.set(token, { login, permissions: allPermissions });
  const pulls = `/repos/${fullName}/pulls`;

  async function ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const headers = { authorization: `Bearer ${token}` };
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const response = await fetch(`${world.url}${path}`, init);
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  async function done<Body>(method: string, path: string, body: unknown): Promise<Body> {
    const answer = await ask(method, path, body);
    if (answer.status >= 300) throw new Error(`${login} could not: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as Body;
  }

  return {
    login,
    ask,
    async review(number, event, commit) {
      const body = { event, body: 'text', ...(commit === undefined ? {} : { commit_id: commit }) };
      return (await done<{ id: number }>('POST', `${pulls}/${number}/reviews`, body)).id;
    },
    async dismiss(number, review) {
      await done('PUT', `${pulls}/${number}/reviews/${review}/dismissals`, { message: 'not any more' });
    },
    async merge(number, method = 'merge') {
      return (await done<{ sha: string }>('PUT', `${pulls}/${number}/merge`, { merge_method: method })).sha;
    },
    async close(number) {
      await done('PATCH', `${pulls}/${number}`, { state: 'closed' });
    },
    async forcePush(branch, commit) {
      const repository = findRepository(world, fullName);
      const ref = `refs/heads/${branch}`;
      const from = (await repository.git.branchHead(branch)) ?? noCommit;
      if (commit === undefined) await repository.git.deleteRef(ref);
      else await repository.git.updateRef(ref, commit, from);
      await refreshPulls(world, repository);
    },
  };
}
