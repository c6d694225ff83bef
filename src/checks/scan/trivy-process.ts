import { resolve } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import { runProgram } from '../../platform/processes/launcher.ts';
import type { ProcessLimits, ProgramRun } from '../../platform/processes/program.ts';

/** A program with its first arguments, or an image that Docker runs. */
type TrivyCommand = readonly string[] | { readonly image: string };

/** What runs where there is no program; the version is the one that the tests run. */
const trivyImage = 'aquasec/trivy:0.76.0';

/** How Trivy is started: as configured (a command line), else the program that was found (its path), else its image. */
export function trivyCommand({ configured, found }: Partial<Record<'configured' | 'found', string | undefined>>): TrivyCommand {
  const words = configured?.split(/\s+/).filter((word) => word !== '') ?? [];
  if (words.length > 0) return words;
  return found === undefined ? { image: trivyImage } : [found];
}

/** Without a value: Docker passes on what the client's own environment has, so that no value is ever an argument. */
const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
const passedVariables = [
  'TRIVY_USERNAME',
  'TRIVY_INSECURE',
  'GOMEMLIMIT',
  ...proxyVariables,
  ...proxyVariables.map((name) => name.toLowerCase()),
];

/** @param folders what an image must see, at the same paths. @param user `UID:GID` that owns what it writes; undefined on Windows */
export function trivyArguments(
  command: TrivyCommand,
  folders: readonly string[],
  user: string | undefined,
  memoryBytes: number,
): readonly string[] {
  if (!('image' in command)) return command;
  const volumes = [...new Set(folders)].flatMap((folder) => ['--volume', `${folder}:${folder}`]);
  const variables = passedVariables.flatMap((name) => ['--env', name]);
  const owner = user === undefined ? [] : ['--user', user];
  const box = ['--memory', String(memoryBytes), '--memory-swap', String(memoryBytes), '--cap-drop', 'ALL'];
  return [
    'docker',
    'run',
    '--rm',
    '--interactive',
    '--network',
    'host',
    ...box,
    ...owner,
    ...volumes,
    ...variables,
    command.image,
  ];
}

/** `input` is a password, which neither arguments nor environment may show. */
export interface TrivyRun extends Pick<ProgramRun, 'environment' | 'input' | 'stopBy'> {
  readonly command: TrivyCommand;
  /** Where it starts, and looks for settings. */
  readonly directory: string;
  /** What it reads and writes. */
  readonly folders: readonly string[];
  readonly arguments: readonly string[];
  readonly limits: ProcessLimits;
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
  /** It met a limit that we gave it. */
  readonly metLimit: 'memory' | 'disk' | undefined;

  constructor(exit: string, log: string) {
    const [call, status, code] = /\b(?:GET|HEAD|POST) \S+: (?:unexpected status code (\d{3})|([A-Z_]+):)[^\n]*/.exec(log) ?? [];
    super(`Trivy ended with ${exit}: ${shown(call ?? fatalPart(log))}`);
    this.name = 'TrivyFailed';
    this.answer = status ?? code;
    // Trivy has one exit code for everything, so what it printed has to tell.
    this.lacksJavaIndex = log.includes('Unable to initialize the Java DB');
    // The last two are a container that met its limit, and Go that could not even start.
    const lacksMemory =
      /out of memory|cannot allocate memory|memory exhausted/i.test(log) || ['exit code 137', 'signal SIGSEGV'].includes(exit);
    const lacksDisk = exit === 'signal SIGXFSZ' || log.includes('file too large') || log.includes('SIGXFSZ');
    this.metLimit = lacksMemory ? 'memory' : lacksDisk ? 'disk' : undefined;
  }
}

/** Trivy ended well, but this machine kept it from looking at all of the image. */
export class ScanBroken extends Error {}

/** What Trivy only warns of, and goes on without the file. A file that is damaged is another matter: it is so each time. */
const machineFault =
  /Analysis error.*(no space left on device|disk quota exceeded|too many open files|input\/output error|cannot allocate memory)/;

/** The step has a limit of its own, which counts where the worker still hears of it. */
const longestRunMs = 60 * 60_000;

/** Runs Trivy to its end. @throws TrivyFailed, ScanBroken, Error where it cannot be started, and what `runProgram` throws */
export async function runTrivy({ limits, ...run }: TrivyRun): Promise<void> {
  const user = process.getuid && process.getgid ? `${process.getuid()}:${process.getgid()}` : undefined;
  const [program = 'trivy', ...first] = trivyArguments(run.command, run.folders, user, limits.memoryBytes);
  // A path of ours would mean another file from where it starts.
  const command = [program.includes('/') ? resolve(program) : program, ...first, ...run.arguments];
  // Of an image, the client's own memory is no matter.
  const isImage = 'image' in run.command;
  // Go gives memory back before it meets the limit, where it can.
  const environment = { ...run.environment, GOMEMLIMIT: String(Math.floor(limits.memoryBytes * 0.8)) };
  const cannotStart = (why: unknown, options?: ErrorOptions) =>
    new Error(`Trivy cannot be started as '${program}' (${why}); install Trivy, or name it in TRIVY`, options);
  try {
    const bounds = { timeoutMs: longestRunMs, ...(!isImage && { limits }) };
    const { code, killedBy, endedBy, stderr } = await runProgram({ ...run, ...bounds, environment, command, yields: true });
    if (endedBy === 'time-out') throw new Error(`Trivy did not end within ${longestRunMs / 60_000} minutes; it is run again`);
    // What the shell says that becomes the program.
    if (!isImage && (code === 127 || code === 126)) throw cannotStart(code === 127 ? 'ENOENT' : 'EACCES');
    if (code !== 0) throw new TrivyFailed(code === undefined ? `signal ${killedBy}` : `exit code ${code}`, stderr);
    const fault = machineFault.exec(stderr)?.[1];
    if (fault !== undefined) throw new ScanBroken(`Trivy could not look at every file (${fault}); it is scanned again`);
  } catch (cause) {
    const why = codeOf(cause);
    if (why !== 'ENOENT' && why !== 'EACCES') throw cause;
    throw cannotStart(why, { cause });
  }
}

/** The part after its last `FATAL`. */
function fatalPart(log: string): string {
  return log.slice(Math.max(0, log.lastIndexOf('FATAL'))).replace(/^FATAL\s+(?:Fatal error\s+)?/, '');
}

/** For people, on one line, and without the queries of URLs, which may be signed. */
function shown(text: string): string {
  // More than is shown: spaces go, and URLs are shortened.
  const unsigned = text.slice(0, 4096).replaceAll(/(https?:\/\/[^\s?"]+)\?[^\s"]*?(?=:?(?:[\s"]|$))/g, '$1?…');
  return unsigned.replaceAll(/\s+/g, ' ').trim().slice(0, 600);
}
