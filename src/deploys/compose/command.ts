import { execFile } from 'node:child_process';
import { childEnvironment } from '../../platform/processes/environment.ts';
import { findOnPath, findTool } from '../../platform/tools.mjs';
import { refused } from './refusals.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The first with `up --pull never`, as far as we have to care: older ones are out of support for years. */
const oldest = { major: 2, minor: 20 };
const answerWithinMs = 60_000;
/** What Compose makes of files of a repository, anchors and aliases written out, is read at once; no project has so much. */
const longestAnswer = 4 * 1024 * 1024;

/** What a compose program is run with, and where. */
export interface ComposeProgram {
  /** `docker compose`, or the path of `docker-compose`. */
  readonly words: readonly string[];
  readonly env: Environment;
  /** `2.28.1`; of somebody's own build, whatever that says. */
  readonly version: string;
}

export interface Asked {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Finds Docker Compose 2 as people start it: what `DOCKER_COMPOSE` names, `docker compose`, or `docker-compose`.
 * @throws Refusal `DeployRefused` that says how to get it
 */
export async function findCompose(landfalls: Environment): Promise<ComposeProgram> {
  const env = composeEnvironment(landfalls);
  const found: string[] = [];
  for (const words of candidates(landfalls)) {
    const version = await versionOf({ words, env });
    if (version === undefined) continue;
    if (isNewEnough(version)) return { words, env, version: version.replace(/^v/, '') };
    found.push(`${words.join(' ')} ${version}`);
  }
  const instead = found.length === 0 ? 'none' : found.join(', ');
  throw refused(
    `expected Docker Compose ${oldest.major}.${oldest.minor} or later on this host, found ${instead}: install the Compose plugin of Docker ` +
      '(package docker-compose-plugin, see https://docs.docker.com/compose/install/), or name the program in DOCKER_COMPOSE',
  );
}

function candidates(env: Environment): string[][] {
  const tool = findTool('docker-compose', env);
  const standalone = tool === undefined ? [] : [[tool]];
  const docker = findOnPath('docker', env);
  return env.DOCKER_COMPOSE || docker === undefined ? standalone : [[docker, 'compose'], ...standalone];
}

/**
 * Without Landfall's own variables: a compose file's variables come from its `.env`, as when a person runs it. `COMPOSE_*` of the worker
 * would send every stage to the same files and project.
 */
function composeEnvironment(env: Environment): Environment {
  return { ...childEnvironment(env, ['DOCKER_*']), COMPOSE_ANSI: 'never', COMPOSE_MENU: 'false' };
}

/** Undefined where it is no Compose. */
async function versionOf(compose: Pick<ComposeProgram, 'words' | 'env'>): Promise<string | undefined> {
  const { exitCode, stdout } = await ask(compose, ['version', '--short']).catch(() => ({ exitCode: -1, stdout: '' }));
  return exitCode === 0 ? stdout.trim() : undefined;
}

/** A build without a version (`dev`) is somebody's own, and taken. */
function isNewEnough(version: string): boolean {
  const [, major = '', minor = ''] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === '') return true;
  return Number(major) > oldest.major || (Number(major) === oldest.major && Number(minor) >= oldest.minor);
}

/** Asks for something that changes nothing, and is there at once. @throws Error where it cannot be started, or does not answer */
export function ask(compose: Pick<ComposeProgram, 'words' | 'env'>, args: readonly string[], cwd?: string): Promise<Asked> {
  const [program = '', ...words] = compose.words;
  const options = {
    env: { ...compose.env, ...(cwd && { PWD: cwd }) },
    timeout: answerWithinMs,
    maxBuffer: longestAnswer,
    ...(cwd && { cwd }),
  };
  return new Promise((resolve, reject) => {
    const child = execFile(program, [...words, ...args], options, (error, stdout, stderr) => {
      if (error?.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') {
        const command = [...compose.words, ...args].join(' ');
        reject(
          refused(
            `expected '${command}' to print at most ${longestAnswer} bytes, but it prints more: make the compose files smaller`,
          ),
        );
        return;
      }
      const exitCode = error === null ? 0 : child.exitCode;
      if (exitCode === null) reject(new Error(`${compose.words.join(' ')} did not answer`, { cause: error }));
      else resolve({ exitCode, stdout, stderr });
    });
  });
}
