import { Command, CommanderError } from 'commander';
import { addAudit } from './commands/audit.ts';
import { addBuild } from './commands/build.ts';
import { addCompletion } from './commands/completion.ts';
import { addConfig } from './commands/config.ts';
import { addDecisions } from './commands/decide.ts';
import { addDoctor } from './commands/doctor.ts';
import { addInit } from './commands/init.ts';
import { addLane } from './commands/lane.ts';
import { addLaneCommands } from './commands/lane-commands.ts';
import { addList } from './commands/list.ts';
import { addLogs } from './commands/logs.ts';

import { addRun } from './commands/run.ts';
import { addSchema } from './commands/schema.ts';
import { addShow } from './commands/show.ts';
import { addStart } from './commands/start.ts';
import { addStats } from './commands/stats.ts';
import { addStatus } from './commands/status.ts';
import { addToken } from './commands/token.ts';
import { addTrigger } from './commands/trigger.ts';
import { addVersion, version } from './commands/version.ts';
import { addWhy } from './commands/why.ts';
import type { CliContext } from './context.ts';
import { exitCodes, explain } from './errors.ts';

export { processContext } from './context.ts';

/** Runs the command line; the exit code is 0 where all is well, 1 where it was refused or failed, 2 where it was used wrongly. */
export async function run(words: readonly string[], context: CliContext): Promise<number> {
  let exitCode: number = exitCodes.fine;
  const program = createProgram(context, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has said it already: help and version end with 0, wrong usage with 1.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
    const failure = explain(error);
    context.warn(failure.message);
    return failure.exitCode;
  }
}

/** Commands import the operations when they run: Temporal's client takes longer to load than `config check` takes as a whole. */
function createProgram(context: CliContext, setExitCode: (code: number) => void): Command {
  const program = new Command('landfall')
    .description('Sees and steers what Landfall does with pushed images.')
    .version(version(), '--version', 'prints the version of Landfall')
    .showHelpAfterError('(landfall --help tells more)')
    .configureOutput({
      writeOut: (text) => context.print(text.trimEnd()),
      writeErr: (text) => context.warn(text.trimEnd()),
    })
    .exitOverride();
  for (const add of commands) add(program, context, setExitCode);
  return program;
}

/** In the order in which `landfall --help` lists them. */
const commands: readonly ((program: Command, context: CliContext, setExitCode: (code: number) => void) => void)[] = [
  addStatus,
  addList,
  addShow,
  addLogs,
  addDecisions,
  addLane,
  addLaneCommands,
  addTrigger,
  addBuild,
  addWhy,
  addRun,
  addStats,
  addAudit,
  addInit,
  addStart,
  addConfig,
  addDoctor,
  addToken,
  addSchema,
  addCompletion,
  addVersion,
];

/** Whoever has read enough (`landfall list | head`) closes the pipe: what else is printed is lost, and nothing is wrong. */
export function allowClosedPipes(...streams: readonly NodeJS.WriteStream[]): void {
  for (const stream of streams) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}
