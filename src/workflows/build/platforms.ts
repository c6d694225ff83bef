import { CancellationScope } from '@temporalio/workflow';
import type { BuildPart, BuildTarget, BuiltImage, PlatformEntry } from '../../domain/build.ts';
import type { CheckPlan } from '../../domain/plan.ts';
import { endRollout } from '../rollout/record.ts';
import { takeStep } from '../rollout/steps/take-step.ts';
import { type BuildRun, inputOf } from './run.ts';
import { onHost, required } from './steps.ts';

/**
 * Builds and checks every platform: the first one alone, because what fails there need not be built for the others; these side by side.
 * @returns for each what uploads it
 */
export async function buildPlatforms(run: BuildRun, target: BuildTarget): Promise<(() => Promise<PlatformEntry>)[]> {
  const [first, ...others] = run.start.subject.plan.parts;
  if (first === undefined) throw new Error('a build has at least one platform');
  const looked = new Set<string>();
  const images = [await buildPlatform(run, target, first, looked)];
  const scope = new CancellationScope();
  try {
    images.push(...(await scope.run(() => Promise.all(others.map((part) => buildPlatform(run, target, part, looked))))));
  } finally {
    // One that ends the build has the others ended, too.
    scope.cancel();
  }
  for (const { kind, title } of run.start.subject.plan.checks)
    if (!looked.has(kind))
      endRollout({
        end: 'failed',
        reason: `${kind}: none of the platforms that are built runs where it is built, so nothing is '${title}': have one built by a host of its own (platforms: { on: HOST }), or say ${kind}: off`,
      });
  return images.map(
    ({ part, image }) =>
      () =>
        upload(run, target, part, image),
  );
}

async function buildPlatform(run: BuildRun, target: BuildTarget, part: BuildPart, looked: Set<string>) {
  const { platform: stage } = part;
  const begins = part === run.start.subject.plan.parts[0];
  const input = { ...inputOf(run, target), part };
  const answer = await takeStep(run, { step: 'build', stage }, () => onHost(run, part, { begins }).buildPlatform(input));
  const { image } = required(answer, 'build');
  const { checks } = run.start.subject.plan;
  await Promise.all(checks.map((check) => checkPlatform(run, target, part, image, check, looked)));
  return { part, image };
}

async function checkPlatform(
  run: BuildRun,
  target: BuildTarget,
  part: BuildPart,
  image: BuiltImage,
  { kind, timeoutMs: withinMs }: CheckPlan,
  looked: Set<string>,
): Promise<void> {
  const at = { step: kind, stage: part.platform };
  const input = { ...inputOf(run, target), part, image, check: kind };
  const answer = await takeStep(run, at, () => onHost(run, part, { withinMs }).checkBuilt(input));
  if (answer.kind === 'not-here') run.record.settle(at, 'skipped', 'the machine that builds it does not run it');
  else looked.add(kind);
}

async function upload(run: BuildRun, target: BuildTarget, part: BuildPart, image: BuiltImage): Promise<PlatformEntry> {
  const input = { ...inputOf(run, target), part, image };
  const answer = await takeStep(run, { step: 'upload', stage: part.platform }, () => onHost(run, part).pushPlatform(input));
  return required(answer, 'upload').entry;
}
