import type { Environment } from '../domain/environment.ts';

/** The environment of this process. Only the composition roots (worker, command) call this; all other code gets it as an argument. */
export function processEnvironment(): Environment {
  return process.env;
}
