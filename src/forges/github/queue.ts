import { classifyGraphql } from '../../platform/github/errors.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';

/** The merge queue of a branch, which only GitHub's GraphQL API knows: https://docs.github.com/graphql */

/** Checked against GitHub's public schema by a test. */
export const queueQuery = /* GraphQL */ `
  query queueOfPullRequest($owner: String!, $repo: String!, $number: Int!) {
    repository(owner: $owner, name: $repo) {
      pullRequest(number: $number) {
        id
        isMergeQueueEnabled
        isInMergeQueue
        reviewDecision
        headRef {
          target {
            ... on Commit {
              committedDate
            }
          }
        }
        timelineItems(last: 1, itemTypes: [ADDED_TO_MERGE_QUEUE_EVENT, REMOVED_FROM_MERGE_QUEUE_EVENT]) {
          nodes {
            ... on RemovedFromMergeQueueEvent {
              createdAt
              reason
            }
          }
        }
      }
    }
  }
`;

/** Checked against GitHub's public schema by a test. */
export const enqueueMutation = /* GraphQL */ `
  mutation enqueuePullRequest($id: ID!, $head: GitObjectID!) {
    enqueuePullRequest(input: { pullRequestId: $id, expectedHeadOid: $head }) {
      mergeQueueEntry {
        id
      }
    }
  }
`;

export interface QueueState {
  /** The id of the pull request in GraphQL. */
  readonly id: string;
  readonly isRequired: boolean;
  readonly isIn: boolean;
  /** The base demands a review that is not there: for classic protection, only GraphQL tells. */
  readonly needsReview: boolean;
  /** The queue, or a person, took the head that it has now out of the queue again. */
  readonly putOut?: { readonly at: string; readonly reason: string };
}

interface QueueAnswer {
  readonly repository: {
    readonly pullRequest: {
      readonly id: string;
      readonly isMergeQueueEnabled: boolean;
      readonly isInMergeQueue: boolean;
      readonly reviewDecision: string | null;
      readonly headRef: { readonly target: { readonly committedDate?: string } | null } | null;
      /** Empty for the addition to the queue. */
      readonly timelineItems: { readonly nodes: readonly ({ createdAt?: string; reason?: string | null } | null)[] | null };
    } | null;
  } | null;
}

/** @returns undefined if GraphQL knows no such pull request */
export async function readQueue(repository: GitHubRepository, number: number): Promise<QueueState | undefined> {
  const answer = await ask<QueueAnswer>(repository, queueQuery, { ...repository.named, number });
  const pull = answer.repository?.pullRequest;
  if (!pull) return undefined;
  const { id, isMergeQueueEnabled: isRequired, isInMergeQueue: isIn, reviewDecision } = pull;
  const { createdAt: at = '', reason } = pull.timelineItems.nodes?.at(-1) ?? {};
  // A head that was committed afterwards has not been in the queue.
  const isLater = Date.parse(pull.headRef?.target?.committedDate ?? '') > Date.parse(at);
  const putOut = at === '' || isLater ? undefined : { at, reason: reason ?? 'it did not say why' };
  return { id, isRequired, isIn, needsReview: reviewDecision === 'REVIEW_REQUIRED', ...(putOut && { putOut }) };
}

/** Puts the pull request into the queue, if its head is still this one. @throws Refusal if GitHub does not */
export async function enqueue(repository: GitHubRepository, id: string, head: string): Promise<void> {
  await ask<unknown>(repository, enqueueMutation, { id, head });
}

async function ask<Answer>(
  { octokit }: GitHubRepository,
  document: string,
  variables: Record<string, string | number>,
): Promise<Answer> {
  try {
    return await octokit.graphql<Answer>(document, variables);
  } catch (error) {
    throw classifyGraphql(error, Date.now());
  }
}
