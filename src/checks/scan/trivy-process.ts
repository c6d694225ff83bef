import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

/** A program with its first arguments, or an image that Docker runs. */
export type TrivyCommand = readonly string[] | { readonly image: string };

/** What runs where there is no program; the version is the one that the tests run. */
const trivyImage = 'aquasec/trivy:0.76.0';

/**
 * How Trivy is started: as configured, else the program where there is one, else its image.
 * @param configured a command line, split at white space
 * @param found path of the program, or undefined
 */
export function trivyCommand({
  configured,
  found,
}: {
  configured?: string | undefined;
  found?: string | undefined;
}): TrivyCommand {
  const words = configured?.split(/\s+/).filter((word) => word !== '') ?? [];
  if (words.length > 0) return words;
  return found === undefined ? { image: trivyImage } : [found];
}

/** Without a value: Docker passes on what the client's own environment has, so that no value is ever an argument. */
const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
const passedVariables = [
  'TRIVY_USERNAME',
  'TRIVY_INSECURE',
  ...proxyVariables,
  ...proxyVariables.map((name) => name.toLowerCase()),
];

/**
 * Program and arguments that start Trivy.
 * @param folders what an image must see, at the same paths
 * @param user `UID:GID` that owns what an image writes; undefined where the platform has no such numbers
 */
export function trivyArguments(command: TrivyCommand, folders: readonly string[], user: string | undefined): readonly string[] {
  if (!('image' in command)) return command;
  const volumes = [...new Set(folders)].flatMap((folder) => ['--volume', `${folder}:${folder}`]);
  const variables = passedVariables.flatMap((name) => ['--env', name]);
  const owner = user === undefined ? [] : ['--user', user];
  return ['docker', 'run', '--rm', '--interactive', '--network', 'host', ...owner, ...volumes, ...variables, command.image];
}

export interface TrivyRun {
  readonly command: TrivyCommand;
  /** Where it starts, and looks for settings. */
  readonly directory: string;
  /** What it reads and writes. */
  readonly folders: readonly string[];
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What it reads from standard input: a password, which neither arguments nor environment may show. */
  readonly input?: string;
  readonly signal: AbortSignal;
}

/** Trivy ended and said no. */
export class TrivyFailed extends Error {
  /**
   * What the first call to a registry that failed came to: an HTTP status (`403`) or an error code of the OCI distribution specification
   * (`DENIED`). With credentials, Trivy calls once more without them, and what that came to says nothing.
   */
  readonly answer: string | undefined;
  /** The image has Java archives, and the index that Trivy looks them up in is not there. */
  readonly lacksJavaIndex: boolean;

  constructor(exit: string, log: string) {
    const [call, status, code] = /\b(?:GET|HEAD|POST) \S+: (?:unexpected status code (\d{3})|([A-Z_]+):)[^\n]*/.exec(log) ?? [];
    super(`Trivy ended with ${exit}: ${shown(call ?? fatalPart(log))}`);
    this.name = 'TrivyFailed';
    this.answer = status ?? code;
    // Trivy has one exit code for everything, so what it printed has to tell.
    this.lacksJavaIndex = log.includes('Unable to initialize the Java DB');
  }
}

/** How much of standard error is kept, in characters. */
const keptLog = 16 * 1024;
/** How long Trivy may take to end by itself when it is stopped; while it waits for a registry it does not. */
const stopWithinMs = 2000;

/**
 * Runs Trivy to its end. When the signal aborts it is stopped, and only then this rejects with the signal's reason.
 * @throws TrivyFailed, or Error where it cannot be started
 */
export async function runTrivy(run: TrivyRun): Promise<void> {
  run.signal.throwIfAborted();
  const user = process.getuid && process.getgid ? `${process.getuid()}:${process.getgid()}` : undefined;
  const [program = 'trivy', ...first] = trivyArguments(run.command, run.folders, user);
  // A path of ours would mean another file from where it starts.
  const child = spawn(program.includes('/') ? resolve(program) : program, [...first, ...run.arguments], {
    cwd: run.directory,
    env: { ...run.environment },
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-keptLog);
  });
  // It may end before it has read anything; how it ended says why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(run.input ?? '');
  let kill: NodeJS.Timeout | undefined;
  const stop = () => {
    child.kill('SIGTERM');
    kill = setTimeout(() => child.kill('SIGKILL'), stopWithinMs);
  };
  run.signal.addEventListener('abort', stop, { once: true });
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    run.signal.throwIfAborted();
    if (code !== 0) throw new TrivyFailed(code === null ? `signal ${signal}` : `exit code ${code}`, log);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES')) {
      throw new Error(`Trivy cannot be started as '${program}' (${error.code}); install Trivy, or name it in TRIVY`, {
        cause: error,
      });
    }
    throw error;
  } finally {
    run.signal.removeEventListener('abort', stop);
    clearTimeout(kill);
  }
}

/** The part after its last `FATAL`. */
function fatalPart(log: string): string {
  return log.slice(Math.max(0, log.lastIndexOf('FATAL'))).replace(/^FATAL\s+(?:Fatal error\s+)?/, '');
}

/** Of what Trivy says, more than is shown: spaces go, and URLs are shortened. */
const longestShown = 4096;

/** For people, on one line, and without the queries of URLs, which may be signed. */
function shown(text: string): string {
  const unsigned = text.slice(0, longestShown).replaceAll(/(https?:\/\/[^\s?"]+)\?[^\s"]*?(?=:?(?:[\s"]|$))/g, '$1?…');
  return unsigned.replaceAll(/\s+/g, ' ').trim().slice(0, 600);
}
