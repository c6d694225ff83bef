import type { Command } from 'commander';
import type { Diagnosis } from '../../domain/diagnosis.ts';
import { type CliContext, type CommandOptions, configOption, jsonOption } from '../context.ts';
import { exitCodes, problemLines } from '../errors.ts';
import { requireNoApi } from '../reach.ts';
import { coloured, plain, table } from '../terminal.ts';

export function addDoctor(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  const command = program
    .command('doctor')
    .description('ask everything that Landfall needs whether it is there and lets it work, and say what to do; changes nothing');
  command.option(...jsonOption).option(...configOption(context));
  command.action(async ({ config, json = false }: CommandOptions) => {
    requireNoApi('doctor looks at the machine and the files of Landfall', context.env);
    const { diagnoseTemporal } = await import('../../operations/index.ts');
    const parts = await Promise.all([diagnoseTemporal(config, context.env), diagnoseConfigured(config, context)]);
    const found = parts.flat();
    if (json) context.print(JSON.stringify(found, null, 2));
    else printDiagnoses(found, context);
    if (found.some(isProblem)) setExitCode(exitCodes.refused);
  });
}

export function isProblem({ verdict }: Diagnosis): boolean {
  return verdict === 'problem';
}

/** What a file names outside. Secrets that are not in this shell are a problem of what needs them, and of nothing else. */
async function diagnoseConfigured(file: string, context: CliContext): Promise<Diagnosis[]> {
  const { InvalidConfiguration, readConfiguration } = await import('../../operations/index.ts');
  try {
    const configuration = await readConfiguration(file, context);
    const { length } = configuration.services;
    const services = `${length} ${length === 1 ? 'service' : 'services'}`;
    return [
      { what: 'configuration', verdict: 'fine', text: `${services} of ${file}` },
      ...(await context.diagnoseOutside(configuration, context.env)),
    ];
  } catch (error) {
    if (!(error instanceof InvalidConfiguration)) throw error;
    return problemLines(error.problems).map((text) => ({ what: 'configuration', verdict: 'problem', text }));
  }
}

const marks = { fine: '✔', warning: '!', problem: '✘' } as const;
const statusOf = { fine: 'passed', warning: 'waiting', problem: 'failed' } as const;

export function printDiagnoses(found: readonly Diagnosis[], { print, ...context }: CliContext): void {
  const rows = found.map(({ what, verdict, text }) => [
    coloured(marks[verdict], context, statusOf[verdict]),
    plain(what),
    verdict === 'fine' ? plain(text) : `${verdict}: ${plain(text)}`,
  ]);
  // Nothing of it is cut: what to do stands at the end.
  for (const line of table(rows)) print(line);
}
