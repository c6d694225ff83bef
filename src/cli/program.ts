import { Command } from 'commander';
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
