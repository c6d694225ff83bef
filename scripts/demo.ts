/**
 * The demo: real images are pushed to a real registry. Landfall delivers the good one, stops two bad ones, and takes a third one back that
 * only turns out bad in production.
 */
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { createTimeline } from '../src/cli/timeline.ts';
import { rolloutId } from '../src/contracts/start-options.ts';
import type { RolloutState } from '../src/domain/rollout-state.ts';
import { followRollouts } from '../src/operations/follow.ts';
import { type DemoImage, demoImages, fadingImage } from './demo/images.ts';
import { againProblems, evidence, problemsWith, rollbackProblems } from './demo/outcomes.ts';
import { type DemoOptions, present } from './demo/present.ts';
import type { Sight } from './demo/production.ts';
import { createWorld, type World } from './demo/world.ts';

const rolloutsDeadlineMs = 180_000;

/** @returns the exit code: 0 only where all outcomes are as they should be */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { root, env, keep, print } = options;
  return await present(options, {
    start: () => createWorld({ root, env, say: (line) => print(`  ${line}`) }),
    show: (world) => show(world, print),
    whereToLook: (world) => whereToLook(world, keep, print),
    stop: (world) => world.destroy(),
  });
}

/** @returns what was not as expected */
async function show(world: World, print: (line: string) => void): Promise<string[]> {
  const connection = await Connection.connect({ address: world.temporal.address });
  try {
    const client = new Client({ connection, namespace: world.temporal.namespace });
    const before = (await world.deployment.git('rev-parse', 'main')).trim();
    print('\nPushing with docker push:');
    const states = await rollOut(world, client, demoImages, print);
    const diff = await world.deployment.git('diff', before, 'main');
    const branches = await world.deployment.branches();
    showStates(states, print);
    print('\nWhat it changed in the deployment repository (git diff):\n');
    print(indent(diff, '  '));
    const problems = problemsWith(states, diff, branches);
    return problems.length > 0 ? problems : await showRollback(world, client, print);
  } finally {
    await connection.close();
  }
}

/** A bad image reaches production, and leaves it again by itself. */
async function showRollback(world: World, client: Client, print: (line: string) => void): Promise<string[]> {
  const good = await sightOf(world);
  print(`\nWhat runs now: ${good.image.slice(0, 60)}…, ${world.production.url}/health answers '${good.health}'.`);
  print('\nPushing another image of web:');
  const [state] = await rollOut(world, client, [fadingImage], print);
  const back = await sightOf(world);
  print(`\n  ${state?.service}: ${state?.status}, ${state?.reason}`);
  print(`  It runs ${back.image.slice(0, 60)}… again, /health answers '${back.health}', and the repository says so, too.`);
  const problems = rollbackProblems(state, good, back);
  if (problems.length > 0) return problems;
  print('\nPushing the same image once more (its manifest alone: Docker 29 sends nothing that a registry has):');
  const [again] = await rollOut(world, client, [fadingImage], print, state);
  return againProblems(again, back, await sightOf(world));
}

/** @param earlier its rollout's earlier run, which is not what is waited for */
async function rollOut(
  world: World,
  client: Client,
  images: readonly DemoImage[],
  print: (line: string) => void,
  earlier?: RolloutState,
): Promise<RolloutState[]> {
  const rollouts: string[] = [];
  for (const image of images) {
    const digest = earlier === undefined ? await world.push(image) : await world.pushAgain(image);
    const { name, about } = image;
    print(`  ${world.repositories}/${name}:latest  ${digest.slice(0, 19)}…  (${about})`);
    rollouts.push(rolloutId(name, { tag: 'latest', digest } as RolloutState['image']));
  }
  print('\nWhat Landfall does:');
  const notBefore = earlier?.endedAt;
  const options = { deadlineMs: rolloutsDeadlineMs, seen: createTimeline(print), ...(notBefore !== undefined && { notBefore }) };
  return await followRollouts<RolloutState>(client, rollouts, options);
}

/** What runs, what it answers, and what the repository says: to be compared. */
async function sightOf({ production, deployment }: World): Promise<Sight & { readonly file: string }> {
  return { ...(await production.look()), file: await deployment.read('main', 'docker-compose.yml') };
}

function showStates(states: readonly RolloutState[], print: (line: string) => void): void {
  print('\nThe outcomes:');
  for (const state of states) {
    print(`  ${state.service}: ${state.status}${state.reason === undefined ? '' : `, ${state.reason}`}`);
    for (const { step, status, details } of state.steps) {
      if (status === 'blocked') print(indent(evidence(details), `      ${step} | `));
    }
  }
}

function whereToLook({ temporal, folder, deployment, production }: World, keep: boolean, print: (line: string) => void): void {
  if (!keep) {
    print('To look around in it, run it again with: npm run demo -- --keep');
    return;
  }
  print(`Everything keeps running until Ctrl-C. Where to look:
  every step and its history   ${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows
  the same in the terminal     LANDFALL_CONFIG=${join(folder, 'landfall.yaml')} npx landfall list
  what can be decided          LANDFALL_CONFIG=${join(folder, 'landfall.yaml')} npx landfall show shop
  what a service runs          LANDFALL_CONFIG=${join(folder, 'landfall.yaml')} npx landfall lane web
  what runs in production      docker ps --filter label=com.docker.compose.project=${production.project}
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
