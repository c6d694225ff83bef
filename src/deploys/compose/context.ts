import { join, resolve } from 'node:path';
import { safeName } from '../../platform/files/safe-name.ts';
import type { RunGit } from '../../platform/git/command.ts';
import type { DeployContext, Target } from '../deploy.ts';
import { type StageFiles, stageFiles } from './stage-files.ts';

export interface ComposeDeployPlan {
  /** Absolute, on the host: a folder with a compose file, in a checkout of the deployment repository where the stage has a `change`. */
  readonly directory: string;
  /** Compose files relative to `directory`; empty: what `docker compose` finds there by itself. */
  readonly files: readonly string[];
  /** Absent: what `docker compose` makes of the folder's name. */
  readonly project?: string;
  /** Services of the compose file that are recreated. At least one. */
  readonly services: readonly string[];
  /** Commands run in `directory` before and after, each as its words; a failure of one stops the deploy. */
  readonly before: readonly (readonly string[])[];
  readonly after: readonly (readonly string[])[];
  /** Longest time of each command and of `docker compose up`. */
  readonly timeoutMs: number;
  /**
   * What becomes of changes that a deploy would bring along besides the image. `ask`: an operator decides. `apply`: they are made, and
   * named. `refuse`: only a mended repository helps.
   */
  readonly others: 'ask' | 'apply' | 'refuse';
}

/** `locks` are for checkouts that several stages share; the caller locks the directory itself. */
export interface ComposeDeployerOptions extends Pick<DeployContext, 'docker' | 'env' | 'credentials' | 'locks'> {
  /** In the worker's data folder: override files, how far a deploy is, and the definitions that ran. */
  readonly folder: string;
  /** Whether this worker listens where Docker publishes ports, and so can try whether one is free. Default: false. */
  readonly isOnHost?: boolean;
}

/** One stage to deploy, and what it is deployed with. */
export interface ComposeContext extends Omit<ComposeDeployerOptions, 'folder'> {
  readonly target: Target<ComposeDeployPlan>;
  readonly git: RunGit;
  readonly files: StageFiles;
  /** For what runs in the directory: see `runToEnd`. */
  readonly programFolder: string;
}

export function contextOf(
  { folder, ...options }: ComposeDeployerOptions,
  git: RunGit,
  target: Target<ComposeDeployPlan>,
): ComposeContext {
  const { plan, stage, deploy } = target;
  const files = stageFiles(join(folder, 'stages', safeName(plan.service, stage.name)));
  // Two stages of one directory must not meet there either.
  const programFolder = join(folder, 'directories', safeName(resolve(deploy.directory)));
  return { ...options, target, git, files, programFolder };
}
