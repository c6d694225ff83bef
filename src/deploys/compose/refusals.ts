import { Refusal } from '../../domain/failures.ts';

/** Nothing was changed: the target cannot be deployed like this. @param details JSON-safe, a few KiB at most */
export function refused(message: string, cause?: unknown, details: readonly object[] = []): Refusal {
  return new Refusal('DeployRefused', message, details, cause === undefined ? {} : { cause });
}

export function isRefusal(error: unknown): error is Refusal {
  return error instanceof Refusal;
}

/** Something was changed, or begun, and it did not work. @param details JSON-safe, a few KiB at most */
export function failed(message: string, details: object): Refusal {
  return new Refusal('DeployFailed', message, [details]);
}

/** The end of an output, fit for a message of one line. */
export function inOneLine(output: string): string {
  return output.split('\n').slice(-5).join(' | ').trim().slice(-800) || 'it printed nothing';
}
