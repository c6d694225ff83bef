import type { Inputs } from './inputs.ts';

/** What is to be done about an image that the registry has, or does not have. */
export interface BuildPlan {
  readonly builds: boolean;
  readonly pushes: boolean;
  /** For people. */
  readonly why: string;
}

/** `dryRun` and `force` together are refused before. */
export function planBuild(exists: boolean, { dryRun, force }: Pick<Inputs, 'dryRun' | 'force'>): BuildPlan {
  if (dryRun) return { builds: true, pushes: false, why: 'dry-run: it is built and tested, and not pushed' };
  if (force) return { builds: true, pushes: true, why: 'force-publish: it is built and pushed, whatever the registry has' };
  if (exists) return { builds: false, pushes: false, why: 'the registry has it already, so there is nothing to do' };
  return { builds: true, pushes: true, why: 'the registry does not have it: it is built and pushed' };
}

/** @param commit full hash @returns the image's tag, and whether `latest` is moved to it as well */
export function planTags(
  { tagOverride, pushesLatest, releaseType }: Pick<Inputs, 'tagOverride' | 'pushesLatest' | 'releaseType'>,
  version: string,
  commit: string,
): { readonly tag: string; readonly movesLatest: boolean } {
  const tag = tagOverride || (releaseType === 'pre-release' ? `${version}-dev.${commit.slice(0, 10)}` : version);
  // A release candidate is for those who ask for it.
  const isRelease = releaseType === 'main-release' && !version.includes('rc');
  return { tag, movesLatest: pushesLatest || isRelease };
}
