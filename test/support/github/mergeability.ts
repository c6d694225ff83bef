import { latestCheckRuns, latestStatuses, type Pull, type Repository } from './state.ts';

/** Whether a pull request can be merged, in GitHub's words: https://docs.github.com/graphql/reference/enums#mergestatestatus */
export interface Mergeability {
  readonly mergeable: boolean | null;
  readonly state: 'unknown' | 'draft' | 'dirty' | 'blocked' | 'behind' | 'unstable' | 'clean';
}

export async function mergeability(repository: Repository, pull: Pull): Promise<Mergeability> {
  const { git } = repository;
  const base = await git.branchHead(pull.base);
  const known = base !== undefined && (await git.resolve(pull.head, 'commit')) !== undefined;
  if (!known || pull.state === 'closed' || pull.computing) return { mergeable: null, state: 'unknown' };
  if ((await git.mergeTree(base, pull.head)) === undefined) return { mergeable: false, state: 'dirty' };
  const state = await openState(repository, pull, base);
  return { mergeable: true, state };
}

async function openState(repository: Repository, pull: Pull, base: string): Promise<Mergeability['state']> {
  if (pull.draft) return 'draft';
  const protection = repository.protections.get(pull.base);
  if (missingRequirement(repository, pull) !== undefined || protection?.restricted) return 'blocked';
  // GitHub's page shows it mergeable by the queue; for the old kind of protection its API says no more than this.
  if (protection?.queue && !protection.ruleset) return 'blocked';
  if (protection?.strict && !(await repository.git.isAncestor(base, pull.head))) return 'behind';
  const runs = latestCheckRuns(repository, pull.head);
  const actions = repository.headRuns.filter(({ sha }) => sha === pull.head);
  const passed = ['success', 'neutral', 'skipped'];
  const allPassed =
    latestStatuses(repository, pull.head).every(({ state }) => state === 'success') &&
    [...runs, ...actions].every(({ conclusion }) => passed.includes(conclusion ?? ''));
  return allPassed ? 'clean' : 'unstable';
}

/** What the protection of the base branch still asks for, in GitHub's words. */
export function missingRequirement(repository: Repository, pull: Pull): string | undefined {
  const protection = repository.protections.get(pull.base);
  if (protection === undefined) return undefined;
  const passed = new Set([
    ...latestStatuses(repository, pull.head)
      .filter(({ state }) => state === 'success')
      .map(({ context }) => context),
    ...latestCheckRuns(repository, pull.head)
      .filter(({ conclusion }) => conclusion === 'success')
      .map(({ name }) => name),
  ]);
  const context = protection.contexts.find((required) => !passed.has(required));
  if (context !== undefined) return `Required status check "${context}" is expected.`;
  switch (reviewDecision(repository, pull)) {
    case 'CHANGES_REQUESTED':
      return 'Changes have been requested by a reviewer with write access.';
    case 'REVIEW_REQUIRED':
      return `At least ${protection.approvals} approving review is required by reviewers with write access.`;
    default:
      return undefined;
  }
}

/** As GraphQL tells it; null where no review is required. */
export function reviewDecision(repository: Repository, pull: Pull): 'APPROVED' | 'CHANGES_REQUESTED' | 'REVIEW_REQUIRED' | null {
  const approvals = repository.protections.get(pull.base)?.approvals ?? 0;
  if (approvals === 0) return null;
  const latest = new Map(pull.reviews.filter(({ state }) => state !== 'COMMENTED').map(({ user, state }) => [user, state]));
  const states = [...latest.values()];
  if (states.includes('CHANGES_REQUESTED')) return 'CHANGES_REQUESTED';
  return states.filter((state) => state === 'APPROVED').length >= approvals ? 'APPROVED' : 'REVIEW_REQUIRED';
}
