/** Environment variables as an argument: only the composition roots (worker, command) take the process's own. */
export type Environment = Readonly<Record<string, string | undefined>>;

export function processEnvironment(): Environment {
  return process.env;
}
