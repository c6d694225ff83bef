import type { BuildState } from '../../../src/contracts/messages.ts';
import type { RolloutState, RunState } from '../../../src/domain/rollout-state.ts';
import type { DeliveryTimes } from './by-hand.ts';
import type { BuildRecord } from './record.ts';

/** What is not as a delivery has to be: one commit, one digest, wherever one looks. */
export function deliveryProblems(
  record: BuildRecord,
  { build, rollout }: { readonly build: BuildState; readonly rollout: RolloutState | undefined },
): string[] {
  const { commit, digest = 'no digest', deliveries, startedWith, change, sight } = record;
  const problems: string[] = [];
  const expect = (what: string, found: string | undefined, wanted: string) => {
    if (found !== wanted) problems.push(`expected ${what} to be ${wanted}, found ${found}`);
  };
  expect('the build', build.status, 'pushed');
  expect('the rollout', rollout?.status, 'delivered');
  expect('the digest that was built', build.outputs.digest, digest);
  expect('the digest that is rolled out', rollout?.image.digest, digest);
  expect('the delivery of the rollout', deliveries[1], deliveries[0] ?? 'known');
  expect('what the rollout was started by', startedWith?.buildId, record.build);
  expect('the commit of the rollout', startedWith?.commit, commit);
  for (const found of [change.line, sight.image])
    if (!found.includes(digest)) problems.push(`expected ${digest}, found ${found}`);
  if (!sight.health.startsWith('200')) problems.push(`expected production to be healthy, found ${sight.health}`);
  return problems;
}

/** What is not as a commit has to leave the world that fails its test: as it was. */
export function blockedProblems(build: BuildState, before: BuildRecord, after: BuildRecord): string[] {
  const blocked = build.steps.find(({ status }) => status === 'blocked');
  const problems: string[] = [];
  if (build.status !== 'blocked' || blocked?.step !== 'smoke')
    problems.push(`expected the build to be blocked at smoke, found ${build.status} at ${blocked?.step}: ${build.reason}`);
  if (!JSON.stringify(blocked?.details ?? '').includes('fatal: /health would answer'))
    problems.push(`expected the last lines of the test, found ${JSON.stringify(blocked?.details)}`);
  for (const key of ['tags', 'change', 'sight'] as const) {
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(after[key])];
    if (is !== was) problems.push(`expected ${key} as before (${was}), found ${is}`);
  }
  if (after.digest !== undefined) problems.push(`expected nothing in the registry, found ${after.digest}`);
  return problems;
}

/** By the record of the build and of the rollout; the clocks are those of one machine. */
export function timesOf(
  { at }: { readonly at: number },
  { build, rollout }: { readonly build: RunState; readonly rollout: RunState | undefined },
): DeliveryTimes {
  const endOf = (state: RunState | undefined, name: string): number =>
    Date.parse(state?.steps.findLast(({ step }) => step === name)?.endedAt ?? '') - at;
  return { pushed: endOf(build, 'push'), deployed: endOf(rollout, 'deploy') };
}

export function comparison(landfall: DeliveryTimes, byHand: DeliveryTimes, watchedSeconds: number): string[] {
  const rows = [
    ['image built, tested, scanned and in the registry', landfall.pushed, byHand.pushed],
    ['in production', landfall.deployed, byHand.deployed],
  ] as const;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`.padStart(8);
  return [
    `  ${'since git push'.padEnd(49)} Landfall   script   ratio`,
    ...rows.map(
      ([what, ours, theirs]) => `  ${what.padEnd(49)} ${seconds(ours)} ${seconds(theirs)}   ${(ours / theirs).toFixed(2)}`,
    ),
    '  Landfall also pushed provenance and an SBOM, smoke-tested what it pulled again, merged by git, and kept a record that',
    `  outlives a crash; then it watched for ${watchedSeconds} s, which is not counted.`,
  ];
}

export function recordText(record: BuildRecord): string {
  const { commit, build, deliveries, startedWith, rollout, digest, change, sight } = record;
  const rows = [
    ['commit', commit],
    ['webhook', `delivery ${deliveries.join(' = ')}`],
    ['build', build],
    ['digest', digest ?? 'none'],
    [
      'rollout',
      `${rollout ?? 'none'}, started by ${startedWith?.buildId ?? 'nobody'} for commit ${startedWith?.commit?.slice(0, 12)}`,
    ],
    ['change', `${change.commit.slice(0, 12)}: ${change.line}`],
    ['runs', `${sight.image}, /health answers '${sight.health}'`],
  ] as const;
  return ['The record, as each part has it:', ...rows.map(([name, what]) => `  ${name.padEnd(8)} ${what}`)].join('\n');
}
