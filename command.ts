/**
 * The `landfall` command, put together: what it prints and asks, and what it has done by rooms that it may not reach for itself.
 * bin/landfall.mjs runs it, as the bundle that scripts/bundle-programs.mjs makes of it.
 */
import { allowClosedPipes, processContext, run } from './src/cli/main.ts';

/**
 * @param words of the command line
 * @param startService runs the service in this process, which is none of the bundle's
 * @returns the exit code
 */
export async function runCommand(words: readonly string[], startService: (config: string) => Promise<void>): Promise<number> {
  allowClosedPipes(process.stdout, process.stderr);
  const context = processContext({
    startService,
    loadKinds: async () => (await import('./src/product.ts')).product,
    async startLocalWork(configuration, env) {
      // Before anything is started that could read it.
      (await import('./src/platform/processes/hidden-environment.ts')).hideEnvironment(process.env);
      return await (await import('./src/process/local-work.ts')).startLocalWork(configuration, env);
    },
    diagnoseOutside: async (configuration, env) =>
      await (await import('./src/process/diagnosis.ts')).diagnoseOutside(configuration, env),
    reachApi: async (place, env) => await (await import('./src/remote/index.ts')).reachApi(place, env),
    withRegistry: async (configuration, env, work) =>
      await (await import('./src/process/diagnosis.ts')).withRegistry(configuration, env, work),
  });
  return await run(words, context);
}
