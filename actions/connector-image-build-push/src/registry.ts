import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '../../../src/domain/failures.ts';
import type { Tag } from '../../../src/domain/image-reference.ts';
import { Registry } from '../../../src/platform/registry/registry.ts';
import type { Inputs } from './inputs.ts';

const pausesMs = [1_000, 2_000, 4_000, 8_000];

/** Asked by the OCI API, of any registry; again, with longer and longer pauses, where it does not answer. @throws Error with what it said */
export async function imageExists({ repository, account }: Inputs, tag: string, told: (line: string) => void): Promise<boolean> {
  const registry = new Registry({
    credentials: async () => account,
    plainHttp: (host) => /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/.test(host),
  });
  for (const [tries, wait] of [...pausesMs, undefined].entries()) {
    try {
      return (await registry.resolve(repository, tag as Tag)) !== undefined;
    } catch (error) {
      if (error instanceof Refusal || wait === undefined) throw error;
      told(
        `${error instanceof Error ? error.message : error}: asked again in ${wait / 1_000} s (${tries + 1} of ${pausesMs.length})`,
      );
      await pause(wait);
    }
  }
  return false;
}
