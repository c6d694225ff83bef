import { inspect } from 'node:util';
import { codeOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';

/**
 * For all of the process, as long as it lives: says what no code has caught. A rejection that nobody handles ends nothing: what asked for
 * it goes on waiting, or has gone on without it. An exception that nobody catches ends the process with code 1, because what it was thrown
 * through is half done; its supervisor starts it again, and Temporal has what was under way. See
 * docs/decisions/0014-faults-that-nobody-caught.md.
 */
export function reportUncaught(log: Pick<Log, 'error' | 'fatal'>): void {
  process.on('unhandledRejection', (reason) => {
    log.error({ reason: tracesOf(reason) }, `nobody listened for a failure, which is a defect of Landfall: ${goesOn}`);
  });
  process.on('uncaughtException', (error) => {
    const reason = tracesOf(error);
    if (brokenConnection.test(String(codeOf(error)))) {
      log.error({ reason }, `nobody listened for a connection that broke, which is a defect of Landfall: ${goesOn}`);
      return;
    }
    log.fatal(
      { reason },
      'an error that nobody caught ends Landfall, which is a defect of it: report this line, and start it again',
    );
    process.exit(1);
  });
}

const goesOn = 'it goes on; report this line, and look whether the rollout of that moment goes on too';

/** What sockets, pipes and requests emit when the other end is gone or they are aborted; code that throws in its middle never has these. */
const brokenConnection =
  /^(?:ABORT_ERR|ECONNABORTED|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EPIPE|ERR_STREAM_PREMATURE_CLOSE|ETIMEDOUT)$/;

const mostCauses = 5;

/** Stacks, and no other properties: an error may lead to everything that the process has. */
function tracesOf(reason: unknown, causes = mostCauses): string {
  if (!(reason instanceof Error)) return inspect(reason, { depth: 1, breakLength: Number.POSITIVE_INFINITY }).slice(0, 2_000);
  const own = reason.stack ?? `${reason.name}: ${reason.message}`;
  return reason.cause === undefined || causes === 0 ? own : `${own}\nbecause: ${tracesOf(reason.cause, causes - 1)}`;
}
