import type { Environment } from '../../domain/environment.ts';
import { codeOf } from '../../domain/errors.ts';
import { childEnvironment } from '../processes/environment.ts';
import { type ProgramAnswer, runProgram } from '../processes/launcher.ts';
import type { ProgramRun } from '../processes/program.ts';
import { findOnPath, findTool } from '../tools.mjs';

/** The first with `up --pull never`, as far as we have to care: older ones are out of support for years. */
const oldest = { major: 2, minor: 20 };
const defaultAnswerMs = 60_000;

/** What a compose program is run with. */
export interface ComposeProgram {
  /** `docker compose`, or the path of `docker-compose`. */
  readonly words: readonly string[];
  readonly env: Environment;
  /** `2.28.1`; of somebody's own build, whatever that says. */
  readonly version: string;
}

/** There is none on this host, or only one that is too old; the message says how to get it. */
export class NoCompose extends Error {}

/**
 * Finds Docker Compose 2 as people start it: what `DOCKER_COMPOSE` names, `docker compose`, or `docker-compose`.
 * @param landfalls Landfall's own environment, of which Compose gets what it needs; `DOCKER_HOST` says which daemon
 * @throws NoCompose, or Error if one does not answer: that one may be right, so no other takes its place
 */
export async function findCompose(landfalls: Environment, answerWithinMs = defaultAnswerMs): Promise<ComposeProgram> {
  // Without Landfall's own variables: a compose file's variables come from its `.env`, as when a person runs it. `COMPOSE_*` of the worker
  // would send every stage to the same files and project.
  const env = { ...childEnvironment(landfalls, ['DOCKER_*']), COMPOSE_ANSI: 'never', COMPOSE_MENU: 'false' };
  const tool = findTool('docker-compose', landfalls);
  const docker = landfalls.DOCKER_COMPOSE ? undefined : findOnPath('docker', landfalls);
  const found: string[] = [];
  for (const words of [...(docker ? [[docker, 'compose']] : []), ...(tool ? [[tool]] : [])]) {
    const version = await versionOf({ command: [...words, 'version', '--short'], environment: env, timeoutMs: answerWithinMs });
    if (version === undefined) continue;
    if (isNewEnough(version)) return { words, env, version: version.replace(/^v/, '') };
    found.push(`${words.join(' ')} ${version}`);
  }
  const instead = found.length === 0 ? 'none' : found.join(', ');
  throw new NoCompose(
    `expected Docker Compose ${oldest.major}.${oldest.minor} or later on this host, found ${instead}: install the Compose plugin of Docker ` +
      '(package docker-compose-plugin, see https://docs.docker.com/compose/install/), or name the program in DOCKER_COMPOSE',
  );
}

/** Undefined if it is no Compose. */
async function versionOf(asked: ProgramRun & { readonly timeoutMs: number }): Promise<string | undefined> {
  try {
    const { code, killedBy, endedBy, stdout } = await runProgram(asked);
    const what = `'${asked.command.join(' ')}'`;
    if (endedBy === 'time-out') throw new Error(`${what} did not answer within ${asked.timeoutMs / 1_000} s`);
    if (killedBy !== undefined) throw new Error(`${what} was ended by ${killedBy}`);
    return code === 0 ? stdout.trim() : undefined;
  } catch (error) {
    // Somebody took it away since it was found.
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A build without a version (`dev`) is somebody's own, and taken. */
function isNewEnough(version: string): boolean {
  const [, major = '', minor = ''] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === '') return true;
  return Number(major) > oldest.major || (Number(major) === oldest.major && Number(minor) >= oldest.minor);
}

export interface ComposeRun extends Pick<ProgramRun, 'input' | 'timeoutMs' | 'signal'> {
  /** What comes after `docker compose`: `['-p', 'NAME', 'up', '-d']`. */
  readonly arguments: readonly string[];
  readonly directory: string;
  readonly env: Environment;
  /** For the variables of the compose file. */
  readonly variables?: Readonly<Record<string, string>>;
}

/**
 * Runs the Compose that is found, with `input` as a compose file to be read with `-f -`.
 * @throws as `findCompose`, and as `runProgram`; how it ended is for the caller to judge
 */
export async function runCompose({ arguments: words, env, variables, ...run }: ComposeRun): Promise<ProgramAnswer> {
  const compose = await findCompose(env);
  return await runProgram({
    ...run,
    command: [...compose.words, '--ansi', 'never', '--progress', 'plain', ...words],
    environment: { ...compose.env, ...variables },
  });
}
