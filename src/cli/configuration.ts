import { existsSync } from 'node:fs';
import type { Configuration } from '../config/configuration.ts';
import { dropInOf } from '../config/kinds.ts';
import { loadText } from '../config/load.ts';
import { formatProblem, type Problem } from '../settings/problem.ts';
import { CommandFailure } from './failure.ts';
import { plain, type Surroundings } from './terminal.ts';

/**
 * The configuration, as far as an operator's command needs it: the service's own secrets are no business of the operator's shell, so they
 * need not exist here.
 * @throws CommandFailure with one line per problem
 */
export function readConfiguration(file: string, { env, kinds }: Pick<Surroundings, 'env' | 'kinds'>): Configuration {
  const text = existsSync(file) ? undefined : dropInOf(kinds, env)?.text;
  const loaded = loadText(text, file, env, kinds, { secretsFor: [] });
  if ('problems' in loaded) throw new CommandFailure(problemLines(loaded.problems).join('\n'));
  return loaded.configuration;
}

/** Problems echo what they found, and a file from elsewhere may hold what steers a terminal. */
export function problemLines(problems: readonly Problem[]): string[] {
  return problems.map((problem) => plain(formatProblem(problem)));
}
