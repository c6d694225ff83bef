import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { codeOf } from '../../domain/errors.ts';

const run = promisify(execFile);

/** A running process, as identified by the operating system. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the system's own form. Together with the pid it is never given to another process. */
  readonly started: string;
  /** The command line, arguments separated by spaces. */
  readonly command: string;
}

/** The process with this id, or undefined if none runs (a zombie counts as gone). */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  return process.platform === 'linux' ? identifyByProc(pid) : (await listByPs(['-p', String(pid)]))[0];
}

/** Every process whose command line contains the text. */
export async function findProcesses(text: string): Promise<ProcessIdentity[]> {
  const pids = async () => (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const all = process.platform === 'linux' ? await Promise.all((await pids()).map(identifyByProc)) : await listByPs(['-A']);
  return all.filter((found) => found !== undefined).filter(({ pid, command }) => pid !== process.pid && command.includes(text));
}

async function identifyByProc(pid: number): Promise<ProcessIdentity | undefined> {
  try {
    const [stat, commandLine] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
    ]);
    // The second field is the program's name in brackets and may hold anything; state is the first field after it, start time the 20th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    return { pid, started: fields[19] ?? '', command: commandLine.split('\0').join(' ').trim() };
  } catch (error) {
    // The process ended while we looked.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

/** For systems without /proc. `lstart` is 24 characters wide on macOS and BSD. */
async function listByPs(selection: readonly string[]): Promise<ProcessIdentity[]> {
  const { stdout } = await run('ps', [...selection, '-o', 'pid=,state=,lstart=,command=']).catch((error: unknown) => {
    // `ps -p` of a process that does not run prints nothing and exits 1.
    if (codeOf(error) === 1) return { stdout: '' };
    throw error;
  });
  return stdout.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\S+)\s+(.{24})\s+(.*)$/.exec(line);
    if (match === null || match[2]?.startsWith('Z')) return [];
    return [{ pid: Number(match[1]), started: match[3] ?? '', command: (match[4] ?? '').trim() }];
  });
}
