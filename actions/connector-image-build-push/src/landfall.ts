import { setTimeout as pause } from 'node:timers/promises';
import { info, notice, setOutput, summary } from '@actions/core';
import type { BuildOptions } from '../../../src/domain/build.ts';
import { isGoodBuildEnd } from '../../../src/domain/rollout-state.ts';
import { type BuildAnswer, createLandfall, type Landfall, type StartedBuild } from './api.ts';
import type { LandfallInputs } from './inputs.ts';
import { tell } from './outputs.ts';

const lookEveryMs = 1_000;
const longestPauseMs = 15_000;

/** By a Landfall: it builds the commit of this job from the repository itself, and the job waits for what becomes of it. */
export async function buildThere(options: BuildOptions, inputs: LandfallInputs, commit: string): Promise<void> {
  const deadline = Date.now() + inputs.timeoutMs;
  const landfall = createLandfall(inputs, deadline, info);
  const { dryRun = false, force = false, tag, release, movesLatest } = options;
  const asked = {
    ...{ name: inputs.build, ref: commit, dryRun, force },
    ...(tag !== undefined && { tag }),
    ...(release !== undefined && { release }),
    ...(movesLatest && { pushLatest: true }),
  };
  const found = await untilOwn(landfall, asked, deadline);
  await told(found);
}

/**
 * A commit is built once at a time. One that was under way already may have been asked for in another way, such as for a dry run: then it is
 * asked for again once that has ended.
 */
async function untilOwn(landfall: Landfall, asked: object, deadline: number): Promise<BuildAnswer> {
  for (let round = 1; ; round++) {
    const started = await landfall.start(asked, round);
    const { build, wasRunning } = started;
    info(wasRunning ? `${build} is under way already: it is waited for, and then asked for again` : `${build} is under way`);
    const found = await follow(landfall, started, deadline);
    if (!wasRunning || found.status === 'blocked') return found;
  }
}

/** @returns once it has ended, or nobody but an operator can move it */
async function follow(landfall: Landfall, started: StartedBuild, deadline: number): Promise<BuildAnswer> {
  const seen = new Set<string>();
  for (let waitMs = lookEveryMs; ; waitMs = Math.min(waitMs * 1.5, longestPauseMs)) {
    const found = await landfall.read(started);
    for (const { step, stage, status, reason } of found.steps) {
      const line = `${stage === undefined ? step : `${step} ${stage}`}: ${status}${reason === undefined ? '' : `: ${oneLine(reason)}`}`;
      if (status === 'pending' || seen.has(line)) continue;
      seen.add(line);
      info(line);
      waitMs = lookEveryMs;
    }
    if (found.endedAt !== undefined || !['running', 'waiting'].includes(found.status)) return found;
    if (Date.now() + waitMs >= deadline)
      throw new Error(
        `${started.build} has not ended in time (timeout-seconds). It goes on at Landfall: run this job again to follow it`,
      );
    await pause(waitMs);
  }
}

/** @throws Error where it did not end well, with the last lines of what failed */
async function told({ build, status, reason = status, steps, logs, outputs }: BuildAnswer): Promise<void> {
  const { name, folder = '', facts, tag = '', image = '', tags, exists, built, pushed, digest } = outputs;
  tell({ ...{ name: facts.name ?? name, folder, tag, image, tags }, type: facts.type ?? '', baseImage: facts.baseImage ?? '' });
  if (exists !== undefined) setOutput('image-exists', String(exists));
  setOutput('build-executed', String(built));
  setOutput('push-executed', String(pushed));
  if (pushed && digest !== undefined) setOutput('digest', digest);
  await summarize(build, status, reason, steps);
  if (isGoodBuildEnd(status)) return notice(pushed ? `pushed ${image}@${digest}` : `${image}: ${oneLine(reason)}`);
  const stopped = steps.findLast((step) => step.status === 'blocked');
  const said = logs.findLast(({ step, stage }) => step === stopped?.step && stage === stopped.stage)?.log;
  const at = stopped === undefined ? '' : ` at ${stopped.step}${stopped.stage === undefined ? '' : ` (${stopped.stage})`}`;
  const lines = said === undefined ? '' : `\n${said.trimEnd().split('\n').slice(-10).join('\n').slice(-2_000)}`;
  throw new Error(`${build} is ${status}${at}: ${reason}${lines}`);
}

async function summarize(build: string, status: string, reason: string, steps: BuildAnswer['steps']): Promise<void> {
  if (!process.env.GITHUB_STEP_SUMMARY) return;
  const rows = steps
    .filter((step) => step.status !== 'pending')
    .map(({ step, stage = '', status: state, reason: why = '' }) => [step, stage, state, why].map(inert));
  const head = ['step', 'platform', 'status', ''].map((data) => ({ data, header: true }));
  const title = `${inert(build)}: ${inert(status)}`;
  await summary
    .addHeading(title, 3)
    .addRaw(inert(reason), true)
    .addTable([head, ...rows])
    .write();
}

/** What is shown came from programs that were run: it is text, not HTML. */
function inert(text: string): string {
  return oneLine(text).replace(/[&<>"'`|\\[\]*_]/g, (found) => `&#${found.codePointAt(0)};`);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 1_000);
}
