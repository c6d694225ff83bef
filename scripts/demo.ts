/** The demo: three real images are pushed to a real registry, and Landfall proposes the good one and stops the other two. */
import { Client, Connection } from '@temporalio/client';
import type { RolloutState } from '../src/domain/rollout-state.ts';
import { rolloutId } from '../src/workflows/start-options.ts';
import { demoImages } from './demo/images.ts';
import { evidence, problemsWith } from './demo/outcomes.ts';
import type { Environment } from './demo/run.ts';
import { followRollouts } from './demo/timeline.ts';
import { createWorld, type World } from './demo/world.ts';

export interface DemoOptions {
  /** The checkout. */
  readonly root: string;
  readonly env: Environment;
  /** Leaves everything running until Ctrl-C. */
  readonly keep: boolean;
  readonly print: (line: string) => void;
}

const rolloutsDeadlineMs = 180_000;

/** @returns the exit code: 0 only where all three outcomes are as they should be */
export async function runDemo({ root, env, keep, print }: DemoOptions): Promise<number> {
  let asked = false;
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        asked = true;
        resolve('interrupted');
      });
    }
  });
  print('Starting:');
  const world = await createWorld({ root, env, say: (line) => print(`  ${line}`) });
  try {
    if (asked) return 130;
    const problems = await Promise.race([show(world, print), interrupted]);
    if (problems === 'interrupted') return 130;
    for (const problem of problems) print(`NOT AS EXPECTED: ${problem}`);
    whereToLook(world, keep, print);
    if (keep) await interrupted;
    return problems.length === 0 ? 0 : 1;
  } finally {
    print('Stopping and removing everything.');
    await world.destroy();
  }
}

/** @returns what was not as expected */
async function show(world: World, print: (line: string) => void): Promise<string[]> {
  print('\nPushing with docker push:');
  const followed = [];
  for (const { name, about } of demoImages) {
    const digest = await world.push(name);
    print(`  ${world.repositories}/${name}:latest  ${digest.slice(0, 19)}…  (${about})`);
    followed.push({ name, rollout: rolloutId(name, { tag: 'latest', digest } as RolloutState['image']) });
  }
  print('\nWhat Landfall does with them:');
  const connection = await Connection.connect({ address: world.temporal.address });
  try {
    const client = new Client({ connection, namespace: world.temporal.namespace });
    const states = await followRollouts(client, followed, { deadlineMs: rolloutsDeadlineMs, print });
    return await showOutcomes(world, states, print);
  } finally {
    await connection.close();
  }
}

async function showOutcomes(
  { deployment }: World,
  states: readonly RolloutState[],
  print: (line: string) => void,
): Promise<string[]> {
  const branches = await deployment.branches();
  const proposed = branches.find((branch) => branch.startsWith('landfall/'));
  const diff = proposed === undefined ? '' : await deployment.git('diff', 'main', proposed);
  print('\nThe outcomes:');
  for (const state of states) {
    print(`  ${state.service}: ${state.status}${state.reason === undefined ? '' : `, ${state.reason}`}`);
    for (const { step, status, details } of state.steps) {
      if (status === 'blocked') print(indent(evidence(details), `      ${step} | `));
    }
  }
  print(`\nWhat it proposes to the deployment repository (git diff main ${proposed ?? ''}):\n`);
  print(indent(diff, '  '));
  return problemsWith(states, diff, branches);
}

function whereToLook({ temporal, folder, deployment }: World, keep: boolean, print: (line: string) => void): void {
  if (!keep) {
    print('To look around in it, run it again with: npm run demo -- --keep');
    return;
  }
  print(`Everything keeps running until Ctrl-C. Where to look:
  every step and its history   ${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows
  the same in the terminal     TEMPORAL_ADDRESS=${temporal.address} npx landfall list
  what can be decided          TEMPORAL_ADDRESS=${temporal.address} npx landfall show shop
  the deployment repository    git --git-dir=${deployment.folder} log --all --oneline
  configuration, log, reports  ${folder}`);
}

function indent(text: string, by: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => by + line)
    .join('\n');
}
