import { text } from '../../config/scalars.ts';
import { byBearer, byHeader } from './authentication.ts';
import type { Authentication } from './receiver.ts';
import type { ReadSecrets } from './secrets.ts';

export const headerName = text('the name of a header', /^[A-Za-z0-9-]{1,100}$/);

/** The secret in one header or another, as it is; in `Authorization` also after `Bearer`. */
export function byHeaders(secrets: ReadSecrets, headers: readonly string[]): Authentication {
  const ways = headers.flatMap((header) =>
    header.toLowerCase() === 'authorization' ? [byBearer(secrets), byHeader(secrets)] : [byHeader(secrets, header)],
  );
  return {
    covers: 'head',
    async verify(head) {
      const verdicts = await Promise.all(ways.map((way) => (way.covers === 'head' ? way.verify(head) : way.precheck(head))));
      return (
        verdicts.find(({ authentic }) => authentic) ??
        verdicts.at(-1) ?? { authentic: false, reason: 'no header is configured that could have a secret' }
      );
    },
  };
}
