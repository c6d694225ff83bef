import type { Review } from '../../domain/outcomes.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';

/**
 * The newest review of each person that approves or asks for changes. Comments say neither; a dismissed review counts no more, and takes
 * the older ones of the same person with it, as at GitHub.
 */
export async function readReviews({ octokit, named }: GitHubRepository, number: number): Promise<Review[]> {
  // Oldest first.
  const reviews = await octokit.paginate(octokit.rest.pulls.listReviews, { ...named, pull_number: number, per_page: 100 });
  const newest = new Map<string, Review | undefined>();
  for (const { user, state, commit_id: commit, submitted_at: at } of reviews) {
    if (user === null) continue;
    const by = user.login;
    const review = { by, commit: commit ?? '', at: at ?? '' };
    if (state === 'APPROVED') newest.set(by, { ...review, state: 'approved' });
    if (state === 'CHANGES_REQUESTED') newest.set(by, { ...review, state: 'changes-requested' });
    if (state === 'DISMISSED') newest.set(by, undefined);
  }
  return [...newest.values()].filter((review) => review !== undefined);
}
