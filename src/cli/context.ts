import { userInfo } from 'node:os';
import type { Client } from '@temporalio/client';
import { type Command, Option } from 'commander';
import type { Configuration } from '../config/configuration.ts';
import type { Kinds } from '../config/kinds.ts';
import type { Diagnosis } from '../domain/diagnosis.ts';
import type { Environment } from '../domain/environment.ts';
import { codeOf } from '../domain/errors.ts';
import type { ApiPlace, AskedRegistry, Operations } from '../operations/index.ts';
import { processEnvironment } from '../settings/environment.ts';
import { ownCommand } from '../settings/own-command.ts';
import { askYesOrNo } from './terminal.ts';

/** What a command is run with: everything that it reads of, and writes to, the machine. */
export interface CliContext {
  /** What may stand in the configuration. Not every command reads it, and all kinds take 0.1 s to load. */
  readonly loadKinds: () => Promise<Kinds>;
  /** Does Landfall's work in this process, without a server; one command needs it. */
  readonly startLocalWork: (configuration: Configuration, env: Environment) => Promise<LocalWork>;
  /** Asks what a configuration names outside whether it is there. Few commands need it. */
  readonly diagnoseOutside: (configuration: Configuration, env: Environment) => Promise<Diagnosis[]>;
  /** Lends registries as a configuration says that they are reached. */
  readonly withRegistry: <Result>(
    configuration: Configuration,
    env: Environment,
    work: (registry: AskedRegistry) => Promise<Result>,
  ) => Promise<Result>;
  /** Lends the operations of a Landfall by its API. */
  readonly reachApi: (place: ApiPlace, env: Environment) => Promise<Operations>;
  /** Runs the service in this process, until it is stopped. */
  readonly startService: (config: string) => Promise<void>;
  readonly env: Environment;
  /** How this very command is called on this machine, for commands that are printed to be copied. */
  readonly command: string;
  /** Who runs the command, for the record: LANDFALL_OPERATOR, else the user of the machine. */
  readonly operator: string;
  /** Writes one line of result. */
  readonly print: (line: string) => void;
  /** Writes one line that is no result. */
  readonly warn: (line: string) => void;
  /** Columns of the terminal; absent where the output is no terminal, which means: plain, and nothing cut. */
  readonly width?: number;
  /** Asks a question that is answered with yes or no; absent where nobody sits at a terminal. */
  readonly confirm?: (question: string) => Promise<boolean>;
}

/** What only command.ts can give: the command itself reaches nothing but Temporal. */
type OutsideParts = Pick<
  CliContext,
  'loadKinds' | 'startLocalWork' | 'startService' | 'diagnoseOutside' | 'withRegistry' | 'reachApi'
>;

/** Workers, and a Temporal that lives as long as they do. */
export interface LocalWork {
  readonly client: Client;
  /** Rejects when it cannot go on; resolves with the signal by which somebody asked it to stop. */
  readonly over: Promise<NodeJS.Signals>;
  readonly stop: () => Promise<void>;
}

/** That of this process. */
export function processContext(parts: OutsideParts): CliContext {
  const env = processEnvironment();
  return {
    ...parts,
    env,
    command: ownCommand(env),
    operator: operatorName(env),
    print: (line) => void process.stdout.write(`${line}\n`),
    warn: (line) => void process.stderr.write(`${line}\n`),
    ...(process.stdout.isTTY && { width: process.stdout.columns }),
    ...(process.stdin.isTTY &&
      process.stderr.isTTY && { confirm: (question) => askYesOrNo(question, process.stdin, process.stderr) }),
  };
}

/** In a container the user id may have no name. */
function operatorName(env: Environment): string {
  if (env.LANDFALL_OPERATOR) return env.LANDFALL_OPERATOR;
  try {
    return userInfo().username;
  } catch (error) {
    return env.USER || env.LOGNAME || `uid ${process.getuid?.() ?? 'unknown'} (${codeOf(error) ?? 'no name'})`;
  }
}

/** What nearly every command can be told. */
export interface CommandOptions {
  readonly config: string;
  /** Of the API, in place of Temporal. */
  readonly url?: string;
  readonly json?: boolean;
}

/** What the commands that decide something can be told. */
export interface DecisionOptions extends CommandOptions {
  readonly reason?: string;
  readonly as?: string;
}

export const jsonOption = ['--json', 'print JSON'] as const;

/** The same default as the service's own. */
export const configOption = ({ env }: Pick<CliContext, 'env'>) =>
  ['-c, --config <file>', 'configuration file', env.LANDFALL_CONFIG ?? 'landfall.yaml'] as const;

export function addCommandOptions(command: Command, context: CliContext): Command {
  const url = new Option('--url <url>', "ask the operators' API at this address, with LANDFALL_TOKEN, in place of Temporal")
    .default(context.env.LANDFALL_URL || undefined)
    .conflicts('config');
  const [flags, description, file] = configOption(context);
  // Who names a file on the command line means its Temporal, whatever LANDFALL_URL says.
  const config = new Option(flags, description).default(file).implies({ url: undefined });
  return command
    .option(...jsonOption)
    .addOption(config)
    .addOption(url);
}

/** @param who what the command calls whoever decides */
export function addDecisionOptions(command: Command, who: string, context: CliContext): Command {
  const as = `${who}; else LANDFALL_OPERATOR, else the user of this machine. LANDFALL_TOKEN proves it`;
  return addCommandOptions(command.option('--reason <text>', 'why').option('--as <operator>', as), context);
}

export const rolloutArgument = 'id of the rollout or its beginning, or a service';

/** Whom the record names: who says so, else whoever runs the command. */
export function nameOf({ as }: { readonly as?: string }, { operator }: Pick<CliContext, 'operator'>): string {
  return as?.trim() || operator;
}
