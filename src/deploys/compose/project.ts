import type { Environment } from '../../domain/environment.ts';
import { Refusal } from '../../domain/failures.ts';
import { formatReference, tryParseReference } from '../../domain/image-reference.ts';
import { excessOf } from '../../domain/json.ts';
import { filesOf } from '../../domain/plan.ts';
import { type ComposeProgram, findCompose, NoCompose } from '../../platform/compose/find-compose.ts';
import { runProgram } from '../../platform/processes/launcher.ts';
import { refused } from '../kit/refusals.ts';
import type { ComposeContext } from './context.ts';
import { type Definition, definition } from './definition.ts';
import { composeFiles, noFiles } from './files.ts';
import { type DeployedService, findServices } from './services.ts';

/** Which compose files, which project, and the Compose that reads them. */
export interface ComposeSite {
  readonly compose: ComposeProgram;
  readonly directory: string;
  readonly files: readonly string[];
  /** Absent: what Compose makes of it. */
  readonly project?: string;
  /** The files lie elsewhere, but their relative paths start at `directory`. */
  readonly apart?: boolean;
}

/** The state before anything changes. */
export interface CurrentState {
  readonly site: ComposeSite;
  /** With the services that have containers, whatever their profiles are. */
  readonly definition: Definition;
  /** Those that are deployed. */
  readonly services: readonly DeployedService[];
}

const answerWithinMs = 60_000;
/** What Compose makes of files of a repository, anchors and aliases written out, is read at once; no project has so much. */
const longestAnswer = 4 * 1024 * 1024;

/** @throws Refusal `DeployRefused` if this host has none, and Error if it does not answer: see `findCompose` */
export async function requireCompose(env: Environment): Promise<ComposeProgram> {
  try {
    return await findCompose(env);
  } catch (error) {
    throw error instanceof NoCompose ? refused(error.message) : error;
  }
}

/** Undefined if there are no compose files: they may come with the change. */
export async function findSite({ env, target }: ComposeContext): Promise<ComposeSite | undefined> {
  const { directory, files, project } = target.deploy;
  const found = await composeFiles(directory, files, changedComposeFile(target));
  if (found === undefined) return undefined;
  return { compose: await requireCompose(env), directory, files: found, ...(project !== undefined && { project }) };
}

export async function requireSite(context: ComposeContext): Promise<ComposeSite> {
  const { directory, files } = context.target.deploy;
  const site = await findSite(context);
  if (site === undefined) throw noFiles(directory, files);
  return site;
}

/** The file that the stage changes, if one of them is a compose file. */
export function changedComposeFile({ stage: { change } }: ComposeContext['target']): string | undefined {
  return change && filesOf(change).find(({ target }) => target.kind === 'compose')?.file;
}

/** Words of a command for these files, up to the subcommand. */
export function composeCommand({ compose, directory, files, project, apart }: ComposeSite, override?: string): string[] {
  const all = override === undefined ? files : [...files, override];
  const where = apart ? ['--project-directory', directory] : [];
  const named = project === undefined ? [] : ['-p', project];
  return [...compose.words, ...named, ...where, ...all.flatMap((file) => ['-f', file])];
}

/** Asks for something that changes nothing, and is there at once. @throws Error if it cannot be started, or does not answer */
export async function queryCompose(site: ComposeSite, args: readonly string[]) {
  const { compose, directory } = site;
  const command = [...composeCommand(site), ...args];
  const environment = { ...compose.env, PWD: directory };
  const limits = { timeoutMs: answerWithinMs, longestStdout: longestAnswer };
  const { code: exitCode, endedBy, stdout, stderr } = await runProgram({ command, directory, environment, ...limits });
  if (endedBy === 'too much output') {
    throw refused(
      `expected '${command.join(' ')}' to print at most ${longestAnswer} bytes, but it prints more: make the compose files smaller`,
    );
  }
  if (exitCode === undefined || endedBy === 'time-out') throw new Error(`${compose.words.join(' ')} did not answer`);
  return { exitCode, stdout, stderr };
}

/** @param services which have to be there, whatever their profiles are; empty: any @throws Refusal `DeployRefused` */
export async function readDefinition(site: ComposeSite, services: readonly string[]): Promise<Definition> {
  const { exitCode, stdout, stderr } = await queryCompose(site, ['config', '--format', 'json', ...services]);
  if (exitCode === 0) return definitionIn(stdout);
  throw refused(
    `expected compose files with ${services.join(', ') || 'services'} in ${site.directory}, but Docker Compose says: ` +
      `${inOneLine(stderr)}; try '${site.compose.words.join(' ')} config' there, and correct deploy.compose, change.services (what is deployed) or the files`,
  );
}

/** Hundreds of services with all that they need have some ten thousand; reading many more would keep everything else from going on. */
const limits = { levels: 64, items: 100_000 };

/** What Compose has printed. @throws Refusal `DeployRefused` if it is more than a project can need */
export function definitionIn(printed: string): Definition {
  const excess = excessOf(Buffer.from(printed), limits);
  if (excess !== undefined) throw refused(`expected compose files that come to ${excess}: make them smaller`);
  return definition.parse(JSON.parse(printed));
}

/** The end of an output, fit for a message of one line. */
export function inOneLine(output: string): string {
  return output.split('\n').slice(-5).join(' | ').trim().slice(-800) || 'it printed nothing';
}

/** Undefined if nothing can be read: no files yet, or some that Compose cannot read, which the change may put right. */
export async function readCurrentState(context: ComposeContext): Promise<CurrentState | undefined> {
  const { docker, target } = context;
  const site = await findSite(context);
  if (site === undefined) return undefined;
  try {
    const all = await readDefinition(site, []);
    const services = await findServices(docker, all.name, target.deploy.services);
    const there = services.filter(({ containers }) => containers.length > 0).map(({ name }) => name);
    // Compose omits a service with a profile unless it is named; one that the files do not have any more is not asked for.
    const isWhole = there.every((name) => all.services?.[name] !== undefined);
    const named = isWhole ? all : await readDefinition(site, there).catch(unlessRefusal(all));
    return { site, definition: named, services };
  } catch (error) {
    if (target.stage.change === undefined) throw error;
    return unlessRefusal(undefined)(error);
  }
}

function unlessRefusal<Result>(instead: Result): (error: unknown) => Result {
  return (error) => {
    if (error instanceof Refusal) return instead;
    throw error;
  };
}

/**
 * What an override has to pin, by service: nothing if the files name the wanted image by its digest.
 * @throws Refusal `DeployRefused` if the repository is said to decide what runs, and names something else
 */
export function pinsFor({ target: { stage, deploy, image } }: ComposeContext, { services }: Definition) {
  const { repository, tag, digest } = image;
  const pinned = formatReference({ repository, tag, digest });
  const pins: Record<string, string> = {};
  const { change } = stage;
  const mayBeByTag = change && filesOf(change).some(({ pin }) => pin === 'tag');
  for (const service of deploy.services) {
    const named = services?.[service]?.image;
    const found = tryParseReference(named ?? '');
    if (found?.repository === repository && found.digest === digest) continue;
    const isByTag = found?.repository === repository && found.digest === undefined && found.tag === tag;
    if (change !== undefined && !(mayBeByTag && isByTag)) {
      throw refused(
        `expected ${service} in ${deploy.directory} to be ${pinned} after the change, but there it is ${named ?? 'without an image'}: ` +
          'somebody changed it since, or deploy.compose (directory, files) reads another file than change.file',
      );
    }
    pins[service] = pinned;
  }
  return pins;
}

/** Whether the files themselves name what our override pins. */
export function agrees({ services }: Definition, pins: Readonly<Record<string, string>>): boolean {
  return Object.entries(pins).every(([service, pinned]) => {
    const [ours, theirs] = [tryParseReference(pinned), tryParseReference(services?.[service]?.image ?? '')];
    return ours?.digest !== undefined && theirs?.digest === ours.digest && theirs.repository === ours.repository;
  });
}
