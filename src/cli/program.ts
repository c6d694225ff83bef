import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { Command } from 'commander';
import { z } from 'zod';
import { addAudit } from './commands/audit.ts';
import { addConfig } from './commands/config.ts';
import { addDecisions } from './commands/decide.ts';
import { addLane } from './commands/lane.ts';
import { addLaneCommands } from './commands/lane-commands.ts';
import { addList } from './commands/list.ts';
import { addOperator } from './commands/operator.ts';
import { addShow } from './commands/show.ts';
import { addTrigger } from './commands/trigger.ts';
import type { CliContext } from './context.ts';

/** Commands import the operations when they run: Temporal's client takes longer to load than `config check` takes as a whole. */
export function createProgram(context: CliContext, setExitCode: (code: number) => void): Command {
  const program = new Command('landfall')
    .description('Sees and steers what Landfall does with pushed images.')
    .version(version(), '--version', 'prints the version of Landfall')
    .showHelpAfterError('(landfall --help tells more)')
    .configureOutput({
      writeOut: (text) => context.print(text.trimEnd()),
      writeErr: (text) => context.warn(text.trimEnd()),
    })
    .exitOverride();
  addConfig(program, context, setExitCode);
  addList(program, context);
  addShow(program, context);
  addDecisions(program, context);
  addOperator(program, context);
  addLane(program, context);
  addLaneCommands(program, context);
  addTrigger(program, context);
  addAudit(program, context);
  return program;
}

/** From package.json, which is another number of folders up in the build than in the sources. */
function version(): string {
  const file = findPackageJSON(import.meta.url);
  if (file === undefined) throw new Error('expected a package.json above the command, found none');
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, 'utf8'))).version;
}
