import { isEvidence } from '../../src/domain/evidence.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';

/** What is not as the demo promises: `web` delivered by one changed line, `shop` blocked at scan, `mailer` blocked at smoke. */
export function problemsWith(states: readonly RolloutState[], diff: string, branches: readonly string[]): string[] {
  const state = (service: string) => states.find((candidate) => candidate.service === service);
  return [
    ...deliveredProblems(state('web'), diff, branches),
    ...blockedProblems('shop', state('shop'), 'scan', 'CVE-2021-44906'),
    ...blockedProblems('mailer', state('mailer'), 'smoke', 'no host in /etc/mailer.conf'),
  ];
}

function deliveredProblems(state: RolloutState | undefined, diff: string, branches: readonly string[]): string[] {
  const problems: string[] = [];
  if (state?.status !== 'delivered') problems.push(`web: expected delivered, found ${state?.status ?? 'no rollout'}`);
  if (branches.join() !== 'main') problems.push(`expected the branch main and no other, found ${branches.join(', ')}`);
  const removed = diff.split('\n').filter((line) => /^-(?!--)/.test(line));
  const added = diff.split('\n').filter((line) => /^\+(?!\+\+)/.test(line));
  const pinned = `${state?.image.repository}:${state?.image.tag}@${state?.image.digest}`;
  if (removed.length !== 1 || added.length !== 1 || !added[0]?.includes(pinned)) {
    problems.push(`expected one changed line that pins ${pinned}, found ${removed.length} removed and ${added.length} added`);
  }
  return problems;
}

/** The fourth image is gone again, and everything is as it was. */
export function rollbackProblems(state: RolloutState | undefined, good: Seen, back: Seen): string[] {
  if (state?.status !== 'rolled-back') {
    return [`web: expected rolled-back, found ${state?.status ?? 'no rollout'}${state?.reason ? `: ${state.reason}` : ''}`];
  }
  const problems = [];
  if (!/healthy \d+\.\d s after the verdict/.test(state.reason ?? '')) {
    problems.push(`web: expected to be told how long the rollback took, found '${state.reason}'`);
  }
  for (const key of ['image', 'health', 'file'] as const) {
    if (digestIn(back[key]) !== digestIn(good[key]))
      problems.push(`expected ${key} as before (${good[key]}), found ${back[key]}`);
  }
  return problems;
}

/** Its digest is quarantined: pushed again, it touches nothing. */
export function againProblems(state: RolloutState | undefined, before: Seen, after: Seen): string[] {
  const problems = [];
  if (state?.status !== 'rejected' || !state.reason?.includes('Quarantined')) {
    problems.push(`web: expected rejected as quarantined, found ${state?.status}, ${state?.reason}`);
  }
  for (const key of ['container', 'image', 'health', 'file'] as const) {
    if (after[key] !== before[key]) problems.push(`expected an untouched ${key} (${before[key]}), found ${after[key]}`);
  }
  return problems;
}

type Seen = Readonly<Record<'container' | 'image' | 'health' | 'file', string>>;

/** The same image may be named with or without its tag. */
function digestIn(text: string): string {
  return text.includes('\n') ? text : (/sha256:[0-9a-f]{64}/.exec(text)?.[0] ?? text);
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
  return (Array.isArray(details) ? details : [details])
    .flatMap((found) => {
      if (!isEvidence(found)) return [JSON.stringify(found, null, 2)];
      const { text, rows = [], log } = found;
      return [...rows.map((cells) => cells.filter(Boolean).join('  ')), ...(log === undefined ? [] : [log, text])];
    })
    .join('\n');
}
