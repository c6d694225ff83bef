import { formatReference, tryParseReference } from '../../domain/image-reference.ts';
import type { ComposeProgram } from '../../platform/compose/find-compose.ts';
import type { Target } from '../deploy.ts';
import { type Definition, definition } from './definition.ts';
import type { ComposeDeployPlan } from './plan.ts';
import { queryCompose } from './query.ts';
import { inOneLine, refused } from './refusals.ts';

/** Which compose files, and which project. */
export interface ComposeLocation {
  readonly directory: string;
  readonly files: readonly string[];
  /** Absent: what Compose makes of it. */
  readonly project?: string;
  /** The files lie elsewhere, but their relative paths start at `directory`. */
  readonly apart?: boolean;
}

/** What Compose makes of the files. */
export interface RenderedProject {
  readonly name: string;
  /** As the files name it, variables filled in; undefined for a service that is only built. */
  readonly images: ReadonlyMap<string, string | undefined>;
  readonly definition: Definition;
}

/** Arguments before the subcommand. */
export function locationArguments({ directory, files, project, apart }: ComposeLocation, override?: string): string[] {
  const all = override === undefined ? files : [...files, override];
  const where = apart ? ['--project-directory', directory] : [];
  return [...(project === undefined ? [] : ['-p', project]), ...where, ...all.flatMap((file) => ['-f', file])];
}

/**
 * @param services which have to be there, whatever their profiles are; empty: any
 * @throws Refusal `DeployRefused` if Compose cannot make anything of the files
 */
export async function readProject(
  compose: ComposeProgram,
  location: ComposeLocation,
  services: readonly string[],
): Promise<RenderedProject> {
  const args = [...locationArguments(location), 'config', '--format', 'json', ...services];
  const { exitCode, stdout, stderr } = await queryCompose(compose, args, location.directory);
  if (exitCode !== 0) {
    throw refused(
      `expected compose files with ${services.join(', ') || 'services'} in ${location.directory}, but Docker Compose says: ` +
        `${inOneLine(stderr)}; try '${compose.words.join(' ')} config' there, and correct deploy.compose or the files`,
    );
  }
  return projectOf(definition.parse(JSON.parse(stdout)));
}

export function projectOf(whole: Definition): RenderedProject {
  const images = Object.entries(whole.services ?? {}).map(([service, { image }]) => [service, image] as const);
  return { name: whole.name, images: new Map(images), definition: whole };
}

/**
 * What an override has to pin, by service: nothing if the files name the wanted image by its digest.
 * @throws Refusal `DeployRefused` if the repository is said to decide what runs, and names something else
 */
export function pinsFor({ stage, deploy, image }: Target<ComposeDeployPlan>, { images }: RenderedProject, directory: string) {
  const { repository, tag, digest } = image;
  const pinned = formatReference({ repository, tag, digest });
  const pins: Record<string, string> = {};
  for (const service of deploy.services) {
    const named = images.get(service);
    const found = tryParseReference(named ?? '');
    if (found?.repository === repository && found.digest === digest) continue;
    const isByTag = found?.repository === repository && found.digest === undefined && found.tag === tag;
    if (stage.change !== undefined && !(stage.change.pin === 'tag' && isByTag)) {
      throw refused(
        `expected ${service} in ${directory} to be ${pinned} after the change, but there it is ${named ?? 'without an image'}: ` +
          'somebody changed it since, or deploy.compose (directory, files) reads another file than change.file',
      );
    }
    pins[service] = pinned;
  }
  return pins;
}

/** Whether the files themselves name what our override pins. */
export function agrees({ images }: RenderedProject, pins: Readonly<Record<string, string>>): boolean {
  return Object.entries(pins).every(([service, pinned]) => {
    const [ours, theirs] = [tryParseReference(pinned), tryParseReference(images.get(service) ?? '')];
    return ours?.digest !== undefined && theirs?.digest === ours.digest && theirs.repository === ours.repository;
  });
}
