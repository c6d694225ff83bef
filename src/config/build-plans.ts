import type { BuildPlan } from '../domain/build.ts';
import { matchesWildcard } from '../settings/image-pattern.ts';
import type { BuildSettings } from './builds.ts';
import type { Configuration } from './configuration.ts';

/** The questions that the configuration answers about builds. */

type BuildConfiguration = Pick<Configuration, 'builds'>;

function planFrom({ everyMs: _schedule, ...plan }: BuildSettings): BuildPlan {
  return plan;
}

/** @param name as the plan has it, with `*` where it does */
export function buildPlanOf({ builds }: BuildConfiguration, name: string): BuildPlan | undefined {
  const found = builds.find((build) => build.name === name);
  return found && planFrom(found);
}

/** The plan that a build of this name is of: that of the very name, else the pattern that it fits. */
export function buildPlanFor({ builds }: BuildConfiguration, name: string): BuildPlan | undefined {
  const found = builds.find((build) => build.name === name) ?? builds.find((build) => matchesWildcard(build.name, name));
  return found && planFrom(found);
}

/** Whom a push of commits concerns. @param isRepository tells whether the source of a build is what was pushed to */
export function buildPlansOfPush(
  { builds }: BuildConfiguration,
  branch: string,
  isRepository: (repository: string) => boolean,
): BuildPlan[] {
  return builds.filter(({ source }) => source.branch === branch && isRepository(source.repository)).map(planFrom);
}

/** The builds that look at their branch by themselves, with the milliseconds between two looks. */
export function scheduledBuilds({ builds }: BuildConfiguration): { readonly plan: BuildPlan; readonly everyMs: number }[] {
  return builds.flatMap((build) => (build.everyMs === undefined ? [] : [{ plan: planFrom(build), everyMs: build.everyMs }]));
}
