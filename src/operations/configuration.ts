import { existsSync } from 'node:fs';
import type { Configuration } from '../config/configuration.ts';
import { dropInOf, type Kinds } from '../config/kinds.ts';
import { loadConfiguration } from '../config/load.ts';
import type { Environment } from '../domain/environment.ts';
import { InvalidConfiguration } from './errors.ts';

/**
 * The configuration, as far as operators need it: the service's own secrets are no business of theirs, so they need not exist here.
 * @throws InvalidConfiguration
 */
export function readConfiguration(
  file: string,
  { env, kinds }: { readonly env: Environment; readonly kinds: Kinds },
): Configuration {
  const text = existsSync(file) ? undefined : dropInOf(kinds, env)?.text;
  const loaded = loadConfiguration(file, env, kinds, { text, secretsFor: [] });
  if ('problems' in loaded) throw new InvalidConfiguration(loaded.problems);
  return loaded.configuration;
}
