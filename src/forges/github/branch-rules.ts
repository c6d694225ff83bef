import type { MergeMethod } from '../../domain/plan.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';
import { ifReadable } from './access.ts';

/** What a branch demands of what is merged into it, as far as the token may know it. */
export interface BranchRules {
  /** Names of check runs, or contexts of statuses. */
  readonly checks: readonly string[];
  /** How many approving reviews; classic protection tells it to administrators only, and is left out. */
  readonly approvals: number;
  /** Absent: whatever the repository allows. */
  readonly methods?: readonly MergeMethod[];
  readonly hasQueue: boolean;
}

/** The rules of rulesets (read by any token), and the checks of classic protection, which every reader of the branch sees. */
export async function readBranchRules(repository: GitHubRepository, branch: string): Promise<BranchRules> {
  const [rules, classic] = await Promise.all([rulesOf(repository, branch), classicChecks(repository, branch)]);
  const methods = new Set<MergeMethod>(['squash', 'merge', 'rebase']);
  const checks = new Set(classic);
  let approvals = 0;
  let hasQueue = false;
  for (const rule of rules) {
    if (rule.type === 'required_status_checks') {
      for (const { context } of rule.parameters?.required_status_checks ?? []) checks.add(context);
    }
    if (rule.type === 'pull_request') {
      approvals = Math.max(approvals, rule.parameters?.required_approving_review_count ?? 0);
      keep(methods, rule.parameters?.allowed_merge_methods);
    }
    if (rule.type === 'required_linear_history') methods.delete('merge');
    if (rule.type === 'merge_queue') hasQueue = true;
  }
  return { checks: [...checks], approvals, hasQueue, ...(methods.size === 3 ? {} : { methods: [...methods] }) };
}

function keep(methods: Set<MergeMethod>, allowed: readonly MergeMethod[] | undefined): void {
  if (allowed === undefined) return;
  for (const method of methods) if (!allowed.includes(method)) methods.delete(method);
}

async function rulesOf({ octokit, named }: GitHubRepository, branch: string) {
  const rules = await ifReadable(() => octokit.paginate(octokit.rest.repos.getBranchRules, { ...named, branch, per_page: 100 }));
  return rules ?? [];
}

async function classicChecks({ octokit, named }: GitHubRepository, branch: string): Promise<readonly string[]> {
  const found = await ifReadable(() => octokit.rest.repos.getBranch({ ...named, branch }));
  const required = found?.data.protection?.required_status_checks;
  return required?.enforcement_level === 'off' ? [] : (required?.contexts ?? []);
}
