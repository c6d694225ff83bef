import type { Environment } from '../../domain/environment.ts';
import { codeOf } from '../../domain/errors.ts';
import type { Evidence } from '../../domain/evidence.ts';
import { Refusal } from '../../domain/failures.ts';
import { childEnvironment, cloudAccounts } from '../../platform/processes/environment.ts';
import { runProgram } from '../../platform/processes/launcher.ts';
import type { BuildWork } from '../builder.ts';

/** What clients of BuildKit find Docker, their builders and their credentials by. */
const passed = ['DOCKER_*', 'BUILDX_CONFIG', 'BUILDKIT_*', 'SSH_AUTH_SOCK', ...cloudAccounts];

interface ClientRun extends Pick<BuildWork<object>, 'signal'> {
  readonly command: readonly string[];
  readonly env: Environment;
  readonly timeoutMs: number;
  /** Added to what it gets of the environment. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** Runs a client of BuildKit to its end, or out of time. @throws Error where it cannot be started */
async function runClient({ command, env, variables, ...run }: ClientRun) {
  const [program = ''] = command;
  const environment = { ...childEnvironment(env, passed), ...variables };
  return await runProgram({ ...run, command, environment, yields: true }).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error;
    throw new Error(`'${program}' is gone since it was found: install it again`, { cause: error });
  });
}

/** Asks a builder something. @throws Error where it does not answer in time */
export async function askBuilder({ timeoutMs = 60_000, ...run }: Omit<ClientRun, 'timeoutMs'> & { readonly timeoutMs?: number }) {
  const end = await runClient({ ...run, timeoutMs });
  if (end.endedBy !== 'time-out') return end;
  const last = end.output.trim().slice(-300);
  throw new Error(`the builder did not answer ${run.command[0]} within ${timeoutMs / 1000} s; it is tried again: ${last}`);
}

/** A program of the Dockerfile said no, whatever its words are: BuildKit tells them here. */
const programFailed = /did not complete successfully: exit code: \d+/;

/** What says that nothing is wrong with what is built. */
const broken = [
  /error reading from server|failed to dial|error while dialing|connection (?:refused|reset by peer|timed out)|broken pipe/i,
  /no such host|server misbehaving|name resolution|(?:network|host) is unreachable|no route to host|i\/o timeout/i,
  /TLS handshake timeout|client connection lost|closed network connection|(?:Get|Head|Post|Put|Patch) "[^"]*": EOF/i,
  /Cannot connect to the Docker daemon|context deadline exceeded|closing transport|unexpected EOF/i,
  /no space left on device|429 Too Many Requests|toomanyrequests|50[0234] (?:Internal|Bad|Service|Gateway)/i,
];

/**
 * Runs a build. What fails because of the network, the builder or a registry is tried again; anything else is an answer.
 * @throws Refusal `BuildFailed`
 */
export async function runBuild(run: ClientRun): Promise<void> {
  const { code, killedBy, endedBy, output } = await runClient(run);
  if (endedBy === 'time-out')
    throw new Refusal(
      'BuildFailed',
      `expected the build to end within ${run.timeoutMs / 1000} s: see what hangs, or raise timeout of the build`,
      [said(output)],
    );
  if (code === 0) return;
  if (killedBy !== undefined) throw new Error(`the build broke off: ${run.command[0]} was ended by ${killedBy}`);
  const last = lastErrorOf(output);
  if (!programFailed.test(last) && broken.some((pattern) => pattern.test(last))) throw new Error(`the build broke off: ${last}`);
  throw new Refusal('BuildFailed', `expected the image to be built, but: ${last}`, [said(output)]);
}

/** Of what BuildKit prints in the end: `ERROR: failed to solve: process "/bin/sh -c npm ci" did not complete successfully: exit code: 1`. */
function lastErrorOf(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const error = lines.findLast((line) => /^(?:ERROR|error):/.test(line)) ?? lines.at(-1) ?? 'it said nothing';
  return error.replace(/^(?:ERROR|error): /, '').slice(0, 600);
}

const shownLines = 40;

function said(output: string): Evidence[] {
  const log = output.trimEnd().split('\n').slice(-shownLines).join('\n').slice(-4_000);
  return [{ title: 'Built', passed: false, text: 'the last lines of the build', log }];
}
