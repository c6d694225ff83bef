import { configurationJsonSchema } from '../config/json-schema.ts';
import { loadConfiguration } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { exitCodes } from './failure.ts';
import type { Surroundings } from './terminal.ts';

/** `landfall config schema` */
export function printSchema({ print }: Pick<Surroundings, 'print'>): number {
  print(JSON.stringify(configurationJsonSchema(), null, 2));
  return exitCodes.fine;
}

/** `landfall config check [FILE]`: one line per problem. */
export function checkConfiguration(file: string, { env, print }: Pick<Surroundings, 'env' | 'print'>): number {
  const loaded = loadConfiguration(file, env);
  if ('problems' in loaded) {
    for (const problem of loaded.problems) print(formatProblem(problem));
    return exitCodes.refused;
  }
  const { length } = loaded.configuration.services;
  print(`${file}: ${length} ${length === 1 ? 'service' : 'services'}, fine`);
  return exitCodes.fine;
}
