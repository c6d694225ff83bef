import { childEnvironment } from '../processes/environment.ts';
import { type ProgramEnd, runProgram } from '../processes/program.ts';
import { findTool } from '../tools.mjs';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The program of Docker Compose 2: what `DOCKER_COMPOSE` names, else `docker-compose` from PATH or among Docker's plugins.
 * @throws Error where there is none
 */
export function findCompose(env: Environment): string {
  const found = findTool('docker-compose', { ...env });
  if (found !== undefined) return found;
  throw new Error(
    'expected Docker Compose 2 on this worker, found none: install the plugin (docker-compose-plugin), or name the program in DOCKER_COMPOSE',
  );
}

export interface ComposeRun {
  /** What comes after `docker compose`: `['-p', 'NAME', 'up', '-d']`. */
  readonly arguments: readonly string[];
  readonly directory: string;
  /** Landfall's own, of which Compose gets what it needs; `DOCKER_HOST` says which daemon. */
  readonly env: Environment;
  /** For the variables of the compose file. */
  readonly variables?: Readonly<Record<string, string>>;
  /** A compose file, read with `-f -`. */
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** @throws Error where it cannot be started, and the signal's reason once it is aborted; how it ended is for the caller to judge */
export async function runCompose(run: ComposeRun): Promise<ProgramEnd> {
  const { arguments: words, directory, input, timeoutMs, signal } = run;
  return await runProgram({
    command: [findCompose(run.env), '--ansi', 'never', '--progress', 'plain', ...words],
    directory,
    environment: { ...childEnvironment(run.env, ['DOCKER_*']), ...run.variables },
    ...(input !== undefined && { input }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(signal !== undefined && { signal }),
  });
}
