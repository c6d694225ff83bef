import { Refusal } from '../../domain/failures.ts';

/** Nothing was changed: the target cannot be deployed like this. @param details JSON-safe, a few KiB at most */
export function refused(message: string, cause?: unknown, details: readonly unknown[] = []): Refusal {
  return new Refusal('DeployRefused', message, details, cause === undefined ? {} : { cause });
}

/** Something was changed, or begun, and it did not work. @param details JSON-safe, a few KiB at most */
export function failed(message: string, details: readonly object[] = [], cause?: unknown): Refusal {
  return new Refusal('DeployFailed', message, details, cause === undefined ? {} : { cause });
}
