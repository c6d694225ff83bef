import { configurationJsonSchema } from '../config/json-schema.ts';
import { loadConfiguration } from '../config/load.ts';
import { problemLines } from './configuration.ts';
import { exitCodes } from './failure.ts';
import type { Surroundings } from './terminal.ts';

export interface CheckOptions {
  readonly config: string;
  /** Whether the secrets that the file refers to must be there. */
  readonly secrets: boolean;
}

/** `landfall config schema` */
export function printSchema({ kinds, print }: Pick<Surroundings, 'kinds' | 'print'>): number {
  print(JSON.stringify(configurationJsonSchema(kinds), null, 2));
  return exitCodes.fine;
}

/** `landfall config check [FILE]`: one line per problem. */
export function checkConfiguration(
  { config: file, secrets }: CheckOptions,
  { env, kinds, print }: Pick<Surroundings, 'env' | 'kinds' | 'print'>,
): number {
  const loaded = loadConfiguration(file, env, kinds, secrets ? {} : { secretsFor: [] });
  if ('problems' in loaded) {
    for (const line of problemLines(loaded.problems)) print(line);
    return exitCodes.refused;
  }
  const { length } = loaded.configuration.services;
  print(`${file}: ${length} ${length === 1 ? 'service' : 'services'}, fine`);
  return exitCodes.fine;
}
