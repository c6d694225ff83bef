import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/** How a run of the command ended. */
interface Ended {
  readonly code: number | null;
  readonly stdout: string;
}

interface DockerRun {
  readonly input?: string;
  /** Its output is what is wanted, and not shown. */
  readonly quiet?: boolean;
  readonly timeoutMs?: number;
}

/** `docker ARGUMENTS`, what it prints being shown as it comes. */
export async function docker(args: readonly string[], { input, quiet = false, timeoutMs }: DockerRun = {}): Promise<Ended> {
  const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const child = spawn('docker', args, { stdio: ['pipe', 'pipe', quiet ? 'ignore' : 'inherit'], ...(signal && { signal }) });
  child.stdin.on('error', () => undefined).end(input ?? '');
  if (!quiet) child.stdout.pipe(process.stdout, { end: false });
  const closed = once(child, 'close').catch((error: unknown) => {
    if (signal?.aborted) return [null];
    throw new Error(`docker could not be started: ${error instanceof Error ? error.message : error}`);
  });
  const [stdout, [code]] = await Promise.all([text(child.stdout), closed]);
  return { code, stdout };
}

/** @throws Error that names the command, where it fails: what it said was shown */
export async function mustDocker(args: readonly string[], run: DockerRun = {}): Promise<string> {
  const { code, stdout } = await docker(args, run);
  if (code !== 0) throw new Error(`docker ${args.slice(0, 3).join(' ')} … failed with ${code}: see what it said above`);
  return stdout;
}
