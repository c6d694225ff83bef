import type { Environment } from '../../domain/environment.ts';
import { formatReference } from '../../domain/image-reference.ts';
import { childEnvironment } from '../../platform/processes/environment.ts';
import type { Target } from '../deploy.ts';
import { runToEnd } from './detached-program.ts';
import type { ComposeDeployPlan } from './plan.ts';
import { failed, inOneLine } from './refusals.ts';

export interface CommandRun {
  readonly target: Target<ComposeDeployPlan>;
  readonly which: 'before' | 'after';
  /** Landfall's own; commands get what any program needs, Docker's settings, and what they are about. */
  readonly env: Environment;
  /** For what runs: see `runToEnd`. */
  readonly folder: string;
}

/**
 * Runs the commands of a stage one after the other, each to its end: a migration that is killed half-way does more harm than a late
 * cancellation. One that was cut off with its worker is run again, so commands have to bear that.
 * @throws Refusal `DeployFailed` for the first that does not exit 0
 */
export async function runCommands({ target, which, env, folder }: CommandRun, signal: AbortSignal): Promise<void> {
  const { directory, timeoutMs } = target.deploy;
  for (const command of target.deploy[which]) {
    signal.throwIfAborted();
    const program = { command, cwd: directory, env: { ...childEnvironment(env, ['DOCKER_*']), ...about(target) }, timeoutMs };
    const ended = await runToEnd(folder, program);
    const { exitCode, output } = ended;
    if (exitCode === 0 && !ended.isLate) continue;
    const how = ended.isLate
      ? `did not end within ${timeoutMs / 1000} s`
      : exitCode === undefined
        ? `was ended by ${ended.signal}`
        : `ended with exit code ${exitCode}`;
    const details = { command, ...(exitCode !== undefined && { exitCode }), output };
    throw failed(`expected '${command.join(' ')}' ${which} the deploy to succeed, but it ${how}: ${inOneLine(output)}`, details);
  }
}

function about({ plan, stage, image, rollout }: Target): Record<string, string> {
  const { repository, tag, digest } = image;
  return {
    LANDFALL_SERVICE: plan.service,
    LANDFALL_STAGE: stage.name,
    LANDFALL_IMAGE: formatReference({ repository, tag, digest }),
    LANDFALL_TAG: tag,
    LANDFALL_DIGEST: digest,
    LANDFALL_ROLLOUT: rollout,
  };
}
