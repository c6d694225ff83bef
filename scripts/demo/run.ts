import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export type Environment = Record<string, string | undefined>;

const execute = promisify(execFile);

/** What a command prints. @throws with all that it said, where it fails */
export async function run(
  command: string,
  args: readonly string[],
  options: { env: Environment; cwd?: string },
): Promise<string> {
  try {
    return (await execute(command, [...args], { ...options, maxBuffer: 16 * 1024 * 1024 })).stdout;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? `\n${error.stderr}` : '';
    throw new Error(`'${command} ${args.join(' ')}' failed${said}`, { cause: error });
  }
}
