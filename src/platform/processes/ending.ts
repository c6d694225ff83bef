import { codeOf } from '../../domain/errors.ts';

/** How programs that we started are ended. */

/** Asks once the time is over, and insists some time later. */
export function stopAfter(milliseconds: number, insistAfterMs: number, stop: (signal: NodeJS.Signals) => void) {
  let fired = false;
  let timer = setTimeout(() => {
    fired = true;
    stop('SIGTERM');
    timer = setTimeout(() => stop('SIGKILL'), insistAfterMs);
  }, milliseconds);
  return { clear: () => clearTimeout(timer), fired: () => fired };
}

/** A program and all that it started, where it leads a process group of its own. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // No process is left in the group, or none that we may kill.
    if (!(codeOf(error) === 'ESRCH' || codeOf(error) === 'EPERM')) throw error;
  }
}
