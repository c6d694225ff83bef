import { onRepository, page, type RepositoryCall, type Routes } from '../routing.ts';
import * as shapes from '../shapes.ts';
import type { Protection, Repository } from '../state.ts';

/** The rules of rulesets that apply to a branch: https://docs.github.com/rest/repos/rules#get-rules-for-a-branch */

async function branchRules(call: RepositoryCall) {
  const { world, repository, parameters } = call;
  const protection = repository.protections.get(parameters.branch ?? '');
  const rules = protection?.ruleset ? rulesOf(repository, protection) : [];
  const path = new URL(`${shapes.repositoryUrl(world, repository)}/rules/branches/${parameters.branch}`).pathname;
  const { items, headers } = page(call, rules, path);
  return { status: 200, body: items, headers };
}

function rulesOf({ fullName }: Repository, protection: Protection) {
  const source = { ruleset_source_type: 'Repository', ruleset_source: fullName, ruleset_id: 1 };
  const rules: Record<string, unknown>[] = [{ type: 'deletion' }, { type: 'non_fast_forward' }];
  if (protection.contexts.length > 0 || protection.strict) {
    rules.push({
      type: 'required_status_checks',
      parameters: {
        strict_required_status_checks_policy: protection.strict ?? false,
        required_status_checks: protection.contexts.map((context) => ({ context })),
      },
    });
  }
  rules.push({
    type: 'pull_request',
    parameters: {
      required_approving_review_count: protection.approvals,
      dismiss_stale_reviews_on_push: false,
      require_code_owner_review: false,
      require_last_push_approval: false,
      required_review_thread_resolution: false,
      ...(protection.methods === undefined ? {} : { allowed_merge_methods: protection.methods }),
    },
  });
  if (protection.queue) rules.push(mergeQueue);
  return rules.map((rule) => ({ ...rule, ...source }));
}

const mergeQueue = {
  type: 'merge_queue',
  parameters: {
    check_response_timeout_minutes: 60,
    grouping_strategy: 'ALLGREEN',
    max_entries_to_build: 5,
    max_entries_to_merge: 5,
    merge_method: 'SQUASH',
    min_entries_to_merge: 1,
    min_entries_to_merge_wait_minutes: 5,
  },
};

export const rulesRoutes: Routes = {
  'repos/get-branch-rules': onRepository([], branchRules),
};
