import type { Environment } from '../domain/environment.ts';
import { messageOf } from '../domain/errors.ts';
import { shortened } from '../domain/inert-text.ts';
import type { CommandProbePlan } from '../domain/plan.ts';
import { childEnvironment } from '../platform/processes/environment.ts';
import { runProgram } from '../platform/processes/launcher.ts';
import type { ProbeAnswer } from './answer.ts';

/** Runs it once; its process group ends with it. Never throws but for the signal. */
export async function askCommand(
  { command, timeoutMs }: CommandProbePlan,
  { baseDir, env, signal }: { readonly baseDir: string; readonly env: Environment; readonly signal: AbortSignal },
): Promise<ProbeAnswer> {
  const name = `command ${shortened(command.join(' '), 80)}`;
  const environment = childEnvironment(env, ['DOCKER_*']);
  try {
    const { code, endedBy, output } = await runProgram({ command, directory: baseDir, environment, timeoutMs, signal });
    if (endedBy === 'time-out') return { kind: 'bad', text: `${name} did not end within ${timeoutMs / 1000} s` };
    if (code === 0) return { kind: 'good', text: `${name} exited with 0` };
    const said = output.trim().split('\n').at(-1)?.trim();
    const end = code === undefined ? 'was killed' : `exited with ${code}`;
    return { kind: 'bad', text: `${name} ${end}${said ? `: ${shortened(said, 120)}` : ''}` };
  } catch (error) {
    signal.throwIfAborted();
    return { kind: 'bad', text: `${name} could not be started: ${messageOf(error)}` };
  }
}
