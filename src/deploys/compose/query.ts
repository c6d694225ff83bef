import type { Environment } from '../../domain/environment.ts';
import { type ComposeProgram, findCompose, NoCompose } from '../../platform/compose/find-compose.ts';
import { runProgram } from '../../platform/processes/program.ts';
import { refused } from './refusals.ts';

const answerWithinMs = 60_000;
/** What Compose makes of files of a repository, anchors and aliases written out, is read at once; no project has so much. */
const longestAnswer = 4 * 1024 * 1024;

export interface ComposeOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** @throws Refusal `DeployRefused` if this host has none, and Error if it does not answer: see `findCompose` */
export async function requireCompose(env: Environment): Promise<ComposeProgram> {
  try {
    return await findCompose(env);
  } catch (error) {
    throw error instanceof NoCompose ? refused(error.message) : error;
  }
}

/** Asks for something that changes nothing, and is there at once. @throws Error if it cannot be started, or does not answer */
export async function queryCompose(
  compose: Omit<ComposeProgram, 'version'>,
  args: readonly string[],
  cwd?: string,
): Promise<ComposeOutput> {
  const command = [...compose.words, ...args];
  const { code, endedBy, stdout, stderr } = await runProgram({
    command,
    environment: { ...compose.env, ...(cwd && { PWD: cwd }) },
    timeoutMs: answerWithinMs,
    longestStdout: longestAnswer,
    ...(cwd && { directory: cwd }),
  });
  if (endedBy === 'too much output') {
    throw refused(
      `expected '${command.join(' ')}' to print at most ${longestAnswer} bytes, but it prints more: make the compose files smaller`,
    );
  }
  if (code === undefined || endedBy === 'time-out') throw new Error(`${compose.words.join(' ')} did not answer`);
  return { exitCode: code, stdout, stderr };
}
