import { type BuildPlan, type BuildSubject, type BuildTarget, ofFolder, planTag } from '../domain/build.ts';
import { Refusal } from '../domain/failures.ts';
import { InvalidReference, isTag, parseRepository, type Repository } from '../domain/image-reference.ts';
import { matchesFolder } from '../settings/image-pattern.ts';
import type { Sources } from './checkout.ts';
import type { BuildProject, ProjectFolder, ProjectKind } from './project.ts';
import { createSharedCheckouts } from './shared-checkout.ts';

interface ReadTargetDependencies {
  readonly sources: Pick<Sources, 'checkOut'>;
  readonly projects: readonly ProjectKind[];
  /** Absolute: for a checkout that is only looked at. */
  readonly folder: string;
}

/** @throws Refusal `BuildRefused` that says what was expected of the configuration or the commit */
export async function readProject(
  projects: readonly ProjectKind[],
  { project }: BuildPlan,
  folder: ProjectFolder,
): Promise<BuildProject> {
  const kind = projects.find((each) => each.kind === project.kind);
  if (kind === undefined) throw new Error(`nobody here reads a project of the kind ${project.kind}`);
  return await kind.read(folder, project.settings);
}

/** What is built of a folder of a commit, and what it is called. */
export function createReadTarget({ sources, projects, folder: work }: ReadTargetDependencies) {
  const withCheckout = createSharedCheckouts(sources, work);
  /** @throws Refusal `BuildRefused` */
  return async ({ plan, name, folder, commit, branch, options }: BuildSubject): Promise<BuildTarget> => {
    if (options.dryRun && options.force)
      throw new Refusal('BuildRefused', 'expected either a dry run or force: with both nobody can tell whether to push');
    if (options.tag !== undefined && options.release !== undefined)
      throw new Refusal('BuildRefused', 'expected either a tag or a release type: each of them says what the tag is');
    const { version, facts } = await withCheckout(plan.source, commit, (root) =>
      readProject(projects, plan, { root, path: folder }),
    );
    const planned = planTag(plan, options, { version, commit, branch });
    if ('lacks' in planned)
      throw new Refusal(
        'BuildRefused',
        `expected a project that has a ${planned.lacks}, because the tag is made of it: set tag of the build`,
      );
    const { tag, movesLatest } = planned;
    if (!isTag(tag))
      throw new Refusal(
        'BuildRefused',
        `expected a tag of at most 128 letters, digits, _, . and -, found '${tag}': see tag of the build`,
      );
    return { name, folder, commit, image: imageOf(plan, folder), tag, movesLatest, facts };
  };
}

/** Whether a folder is one that a plan builds, and an image what it is pushed to. @throws Refusal `BuildRefused` */
export function isPlanned(plan: BuildPlan, { folder, image }: Pick<BuildTarget, 'folder' | 'image'>): boolean {
  return matchesFolder(plan.source.path, folder) && imageOf(plan, folder) === image;
}

function imageOf({ image }: BuildPlan, folder: string): Repository {
  const text = ofFolder(image, folder);
  try {
    return parseRepository(text);
  } catch (error) {
    if (error instanceof InvalidReference) throw new Refusal('BuildRefused', error.message, [], { cause: error });
    throw error;
  }
}
