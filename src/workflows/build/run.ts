import type { BuildOutputs, BuildStart } from '../../contracts/messages.ts';
import { type BuildTarget, ofFolder } from '../../domain/build.ts';
import type { Repository, Tag } from '../../domain/image-reference.ts';
import { OperatorDecisions } from '../rollout/decisions.ts';
import { RolloutRecord, type StepAt } from '../rollout/record.ts';
import type { StepTerms } from '../rollout/steps/take-step.ts';

/** What the steps of a build work with. */
export interface BuildRun extends StepTerms {
  readonly start: BuildStart & StepTerms['start'];
  readonly record: RolloutRecord;
  readonly decisions: OperatorDecisions;
  /** Filled in as it becomes known. */
  readonly outputs: { -readonly [Name in keyof BuildOutputs]: BuildOutputs[Name] };
}

/** What the activities of a build take. */
export function inputOf({ start }: BuildRun, target: BuildTarget) {
  return { subject: start.subject, target };
}

/** Begins to answer updates, too. @param cancel what an operator's `abort` does */
export function openBuild(start: BuildStart, cancel: () => void): BuildRun {
  const { subject, cause } = start;
  const { plan, name, commit, folder } = subject;
  const about = {
    plan: { service: name, ...(plan.notify && { notify: plan.notify }) },
    // Its tag is made of what the commit says.
    image: { repository: ofFolder(plan.image, folder) as Repository, tag: commit.slice(0, 12) as Tag },
    push: { ...cause, commit, sourceRepository: plan.source.repository },
  };
  const record = new RolloutRecord(about, plannedSteps(start));
  const decisions = new OperatorDecisions(about, record, cancel);
  decisions.handleUpdates();
  return {
    start: { ...start, plan: { decideWithinMs: plan.decideWithinMs } },
    record,
    decisions,
    // A newer commit is another build, and neither waits for the other.
    lane: { supersededIn: () => undefined },
    outputs: { built: false, pushed: false },
  };
}

function plannedSteps({ subject: { plan, options } }: BuildStart): StepAt[] {
  const pushes = !options.dryRun;
  const ofPlatforms = plan.parts.flatMap(({ platform }) =>
    ['build', ...plan.checks.map(({ kind }) => kind), ...(pushes ? ['upload'] : [])].map((step) => ({ step, stage: platform })),
  );
  const last = pushes ? ['push', ...(options.pushOnly ? [] : ['hand-over'])] : [];
  return [...['validate', 'exists'].map((step) => ({ step })), ...ofPlatforms, ...last.map((step) => ({ step }))];
}
