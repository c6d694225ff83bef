import type { ScanSummary, SmokeFailure } from '../../src/domain/outcomes.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';

/** What is not as the demo promises: `web` proposed by one changed line, `shop` blocked at scan, `mailer` blocked at smoke. */
export function problemsWith(states: readonly RolloutState[], diff: string, branches: readonly string[]): string[] {
  const state = (service: string) => states.find((candidate) => candidate.service === service);
  return [
    ...proposedProblems(state('web'), diff, branches),
    ...blockedProblems('shop', state('shop'), 'scan', 'CVE-2021-44906'),
    ...blockedProblems('mailer', state('mailer'), 'smoke', 'no host in /etc/mailer.conf'),
  ];
}

function proposedProblems(state: RolloutState | undefined, diff: string, branches: readonly string[]): string[] {
  const problems: string[] = [];
  if (state?.status !== 'proposed') problems.push(`web: expected proposed, found ${state?.status ?? 'no rollout'}`);
  const proposals = branches.filter((branch) => branch.startsWith('landfall/'));
  if (proposals.join() !== 'landfall/web-production') {
    problems.push(`expected the branch landfall/web-production and no other, found ${proposals.join(', ') || 'none'}`);
  }
  const removed = diff.split('\n').filter((line) => /^-(?!--)/.test(line));
  const added = diff.split('\n').filter((line) => /^\+(?!\+\+)/.test(line));
  const pinned = `${state?.image.repository}:${state?.image.tag}@${state?.image.digest}`;
  if (removed.length !== 1 || added.length !== 1 || !added[0]?.includes(pinned)) {
    problems.push(`expected one changed line that pins ${pinned}, found ${removed.length} removed and ${added.length} added`);
  }
  return problems;
}

function blockedProblems(name: string, state: RolloutState | undefined, step: string, evidence: string): string[] {
  if (state?.status !== 'blocked') return [`${name}: expected blocked, found ${state?.status ?? 'no rollout'}`];
  const blocked = state.steps.filter(({ status }) => status === 'blocked');
  if (blocked.length !== 1 || blocked[0]?.step !== step) {
    return [`${name}: expected to be blocked at ${step}, found it blocked at ${blocked.map((found) => found.step).join(', ')}`];
  }
  const told = `${blocked[0].reason} ${JSON.stringify(blocked[0].details)}`;
  return told.includes(evidence) ? [] : [`${name}: expected ${step} to show '${evidence}', found ${told}`];
}

/** What a blocked step shows beside its reason: findings, or log lines. */
export function evidence(details: unknown): string {
  const { worst, log, exitCode } = { ...(details as Partial<ScanSummary & SmokeFailure>) };
  if (worst !== undefined) {
    return worst
      .map(({ severity, id, where, installed, fixed, title }) =>
        [severity, id, where, installed, fixed === undefined ? 'no fix yet' : `fixed in ${fixed}`, title]
          .filter(Boolean)
          .join('  '),
      )
      .join('\n');
  }
  if (log !== undefined) return `${log}\nexit code ${exitCode ?? 'unknown'}`;
  return JSON.stringify(details, null, 2);
}
