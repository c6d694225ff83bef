import type { Log } from '../../http/errors.ts';
import type { Receiver } from '../../sources/kit/receiver.ts';

/** What one address alone may send by default, so only floods from many are thinned, or where more was allowed. */
const mostInASecond = 20;

/**
 * Logs why requests of a receiver are not authentic. Of a flood the log has the first of each second and the number of the others: it
 * must not fill a disk, nor cost more than the refusals themselves. The audit log has a line for each.
 */
export function thinRefusals(
  log: Pick<Log, 'warn'>,
  { source, refusedInLog = 'a request was refused: it is not authentic' }: Pick<Receiver, 'source' | 'refusedInLog'>,
  everyMs = 1_000,
): (reason: string, address: string) => void {
  let [logged, omitted] = [0, 0];
  const settle = (): void => {
    if (omitted > 0) log.warn({ source, omitted }, `${refusedInLog}; so were others in the same second`);
    [logged, omitted] = [0, 0];
  };
  return (reason, address) => {
    if (logged === mostInASecond) {
      omitted += 1;
      return;
    }
    if (logged === 0) setTimeout(settle, everyMs).unref();
    logged += 1;
    log.warn({ source, reason, address }, refusedInLog);
  };
}
