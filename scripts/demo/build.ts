/**
 * `npm run demo -- --build`: from `git push` to a delivered, healthy service, with nothing in between. A commit whose image fails its test is
 * blocked before anything is pushed; the one that mends it is delivered, and measured beside a straight-line script.
 */
import { join } from 'node:path';
import { createTimeline } from '../../src/cli/timeline.ts';
import type { BuildState } from '../../src/contracts/messages.ts';
import { buildId } from '../../src/contracts/start-options.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { followRollouts } from '../../src/operations/follow.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { deliverByHand } from './build/by-hand.ts';
import { blockedProblems, comparison, deliveryProblems, recordText, timesOf } from './build/outcomes.ts';
import { type BuildRecord, readRecord } from './build/record.ts';
import { pushCommit, type SourcePush, siteOf } from './build/source.ts';
import { type BuildPlaces, startBuildPlaces, watchedSeconds } from './build/world.ts';
import { evidence } from './outcomes.ts';
import { type DemoOptions, present } from './present.ts';
import { run } from './run.ts';

const deadlineMs = 240_000;

/** @returns the exit code: 0 only where all outcomes are as they should be */
export async function runBuildDemo(options: DemoOptions): Promise<number> {
  const { keep, print } = options;
  const missing = await missingForBuilds(options);
  if (missing !== undefined) {
    print(missing);
    return 1;
  }
  return await present(options, {
    start: () => startBuildPlaces(options),
    show: (places) => show(places, options),
    whereToLook({ folder, checkout, production }) {
      if (!keep) return;
      print(`Everything keeps running until Ctrl-C. Where to look:
  what happened          LANDFALL_CONFIG=${join(folder, 'landfall.yaml')} npx landfall list
  another commit         ${checkout} is a clone: commit, and git push
  what runs              docker ps --filter label=com.docker.compose.project=${production.project}`);
    },
    stop: (places) => places.stop(),
  });
}

/** Builds are pushed as the layouts that only containerd's image store can write. */
async function missingForBuilds({ env }: DemoOptions): Promise<string | undefined> {
  const remedy = "run 'npm run demo -- --engine 29 --build', which brings Docker 29 with buildx (Linux, root)";
  if (findTool('docker-buildx', env) === undefined)
    return `The demo of builds expects Docker's buildx, found none: install docker-buildx-plugin, or ${remedy}.`;
  const store = await run(
    findTool('docker', env) ?? 'docker',
    ['info', '--format', '{{.ServerVersion}} {{json .DriverStatus}}'],
    { env },
  );
  if (store.includes('io.containerd.snapshotter')) return undefined;
  const [version] = store.split(' ');
  return `The demo of builds expects an engine that keeps images in containerd's store, found Docker ${version} with its own: ${remedy}.`;
}

interface Followed {
  readonly build: BuildState;
  readonly rollout: RolloutState | undefined;
}

/** @returns what was not as expected */
async function show(places: BuildPlaces, { env, print }: DemoOptions): Promise<string[]> {
  const first = await deliver(places, 'Version 1.1.0', siteOf('1.1.0', 'well'), print);
  if (first.problems.length > 0) return first.problems;
  const broken = await showBlocked(places, first.record, print);
  if (broken.length > 0) return broken;
  const mended = await deliver(places, 'Version 1.2.1: it is well again', siteOf('1.2.1', 'well'), print);
  if (mended.problems.length > 0) return mended.problems;
  print('\nThe same by a straight-line script: clone, buildx build, docker run, trivy, docker push, git push, compose up.');
  const push = await pushCommit(places.checkout, siteOf('1.2.2', 'well'), 'Version 1.2.2, by hand', 'by-hand');
  const byHand = await deliverByHand(places, push, env);
  const took = byHand.steps.map(({ name, ms }) => `${name} ${(ms / 1000).toFixed(1)} s`);
  print(`  ${took.join(', ')}`);
  for (const line of comparison(mended.times, byHand, watchedSeconds)) print(line);
  return [];
}

async function deliver(places: BuildPlaces, message: string, files: ReturnType<typeof siteOf>, print: (line: string) => void) {
  const push = await pushToMain(places, message, files, print);
  const followed = await follow(places, push, print);
  const record = await readRecord(places, push, followed.build);
  print(`\n${recordText(record)}`);
  const problems = deliveryProblems(record, followed);
  return { problems, record, times: timesOf(push, followed) };
}

/** A commit whose image fails its own test: nothing of it reaches the registry, and production stays as it is. */
async function showBlocked(places: BuildPlaces, before: BuildRecord, print: (line: string) => void): Promise<string[]> {
  const push = await pushToMain(places, 'Version 1.2.0, which is broken', siteOf('1.2.0', 'no database'), print);
  const { build } = await follow(places, push, print);
  const blocked = build.steps.find(({ status }) => status === 'blocked');
  for (const line of evidence(blocked?.details).split('\n')) print(`      ${blocked?.step} | ${line}`);
  const after = await readRecord(places, push, build);
  print(
    `  The registry has ${after.tags.join(', ')}: nothing of ${push.commit.slice(0, 12)}. Production answers '${after.sight.health}'.`,
  );
  print(`  It waits for a person: landfall skip ${buildId('web', push.commit)} smoke --reason …, or the next commit.`);
  return blockedProblems(build, before, after);
}

async function pushToMain(
  { checkout }: BuildPlaces,
  message: string,
  files: ReturnType<typeof siteOf>,
  print: (line: string) => void,
): Promise<SourcePush> {
  print(`\ngit commit --message '${message}' && git push:`);
  const push = await pushCommit(checkout, files, message);
  for (const line of push.said.split('\n')) print(`  ${line.trimEnd()}`);
  return push;
}

/** The build, and the rollout that goes on with its digest, on one timeline. */
async function follow({ client }: BuildPlaces, { commit }: SourcePush, print: (line: string) => void): Promise<Followed> {
  print('\nWhat Landfall does:');
  const seen = createTimeline(print);
  const id = buildId('web', commit);
  print(`  ${id}`);
  const [build] = await followRollouts<BuildState>(client, [id], { deadlineMs, seen });
  if (build === undefined) throw new Error(`expected ${id}, found none`);
  const [rollout] = build.outputs.rollouts ?? [];
  if (rollout === undefined) return { build, rollout };
  print(`  ${rollout}`);
  const [state] = await followRollouts<RolloutState>(client, [rollout], { deadlineMs, seen });
  return { build, rollout: state };
}
