import type { Environment } from '../../domain/environment.ts';
import { codeOf, messageOf } from '../../domain/errors.ts';
import { childEnvironment, cloudAccounts } from '../processes/environment.ts';
import { runProgramForBytes } from '../processes/launcher.ts';

/** Runs one git command to its end, whatever its exit code. Throws only where git could not be run, or ran out of time. */
export type RunGit = (args: readonly string[], options?: GitRunOptions) => Promise<GitResult>;

export interface GitRunOptions {
  readonly input?: string | Uint8Array;
  /** Added to the environment that every command gets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Settings of this command, `name=value`. No secrets: every user of the machine can read them. */
  readonly settings?: readonly string[];
  /** Default: one minute. */
  readonly timeoutMs?: number;
}

export interface GitResult {
  /** The git subcommand, for messages. */
  readonly command: string;
  readonly exitCode: number;
  readonly stdout: Buffer;
  /** In English (`LC_ALL=C`); the last 64 KiB. */
  readonly stderr: string;
}

/** git was stopped because it took too long: something hangs, and trying again may help. `killed`: it had no time to clean up. */
export class GitTimeout extends Error {
  readonly killed: boolean;

  constructor(command: string, timeoutMs: number, killed: boolean) {
    super(`git ${command} did not end within ${timeoutMs / 1000} s and was stopped; it is tried again`);
    this.name = 'GitTimeout';
    this.killed = killed;
  }
}

const defaultTimeoutMs = 60_000;
/** git removes its lock files on SIGTERM; what does not end by then hangs. */
const cleanUpMs = 5_000;
/** A file that we edit has at most 1 MiB, and a list of changes need not be whole. What is printed is read at once. */
const longestOutput = 32 * 1024 * 1024;

/** What git, ssh and credential helpers find their settings, agents and key rings by. */
const passedVariables = [
  'GIT_*',
  'SSH_*',
  'GCM_*',
  'GNUPGHOME',
  'DBUS_SESSION_BUS_ADDRESS',
  'KRB5_CONFIG',
  'KRB5CCNAME',
  ...cloudAccounts,
];

/** What would point git at another repository than ours when Landfall itself is started from a hook or an alias of git. */
const repositoryVariables = [
  'GIT_DIR',
  'GIT_COMMON_DIR',
  'GIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_NAMESPACE',
  'GIT_PREFIX',
  'GIT_QUARANTINE_PATH',
  'GIT_SHALLOW_FILE',
  // Opens a window on a desktop, and waits for a person.
  'SSH_ASKPASS',
];

/** Settings of every command. None of them holds a secret: arguments can be read by every user of the machine. */
const settings = [
  // Global hooks of the user are not meant for us.
  'core.hooksPath=/dev/null',
  'core.filesRefLockTimeout=5000',
  'core.packedRefsTimeout=5000',
  'gc.autoDetach=false',
  'maintenance.autoDetach=false',
  'i18n.commitEncoding=UTF-8',
  'log.showSignature=false',
  'protocol.version=2',
  'push.gpgSign=false',
  'credential.interactive=never',
  // Less than 1,000 bytes a second for 30 s: the connection is dead.
  'http.lowSpeedLimit=1000',
  'http.lowSpeedTime=30',
].flatMap((setting) => ['-c', setting]);

const sshCommand = 'ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=4';

/**
 * @param git a path, or a name on PATH
 * @param env of it, git gets no secrets of Landfall's; `HOME` for its settings and keys, and its own variables (`GIT_SSH_COMMAND`) count
 */
export function createGitRunner(git: string, env: Environment): RunGit {
  const base = gitEnvironment(env);
  return (args, options = {}) => run(git, args, options, { ...base, ...options.env });
}

function gitEnvironment(env: Environment): Record<string, string | undefined> {
  const passed = Object.entries(childEnvironment(env, passedVariables));
  const own = Object.fromEntries(passed.filter(([name]) => !repositoryVariables.includes(name)));
  return {
    ...(own.GIT_SSH === undefined ? { GIT_SSH_COMMAND: sshCommand } : {}),
    ...own,
    LC_ALL: 'C',
    LANGUAGE: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'file:git:http:https:ssh',
  };
}

async function run(
  git: string,
  args: readonly string[],
  { input, timeoutMs = defaultTimeoutMs, settings: own = [] }: GitRunOptions,
  environment: Record<string, string | undefined>,
): Promise<GitResult> {
  const name = args.find((arg) => !arg.startsWith('-')) ?? '';
  const command = [git, ...settings, ...own.flatMap((setting) => ['-c', setting]), ...args];
  const { code, killedBy, endedBy, stdout, stderr } = await runProgramForBytes({
    ...{ command, environment, timeoutMs, longestStdout: longestOutput, stopWithinMs: cleanUpMs },
    // A keeper of credentials.
    leavesSome: true,
    ...(input !== undefined && { input }),
  }).catch((error: unknown) => {
    if (codeOf(error) === undefined) throw error;
    throw new Error(`could not run '${git}': ${messageOf(error)}; install git, or name its path`, { cause: error });
  });
  if (endedBy === 'time-out') throw new GitTimeout(name, timeoutMs, killedBy === 'SIGKILL');
  if (endedBy === 'too much output') throw new Error(`git ${name} printed more than ${longestOutput} bytes`);
  if (code === undefined) throw new Error(`git ${name} was ended by ${killedBy ?? 'a signal'}; it is tried again`);
  return { command: name, exitCode: code, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr).toString('utf8') };
}
