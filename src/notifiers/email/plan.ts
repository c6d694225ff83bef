import type { z } from 'zod';
import { type SecretCheck, secret, text } from '../../settings/scalars.ts';
import { map, oneOrMany } from '../../settings/wording.ts';

/** What the configuration says of mail. */

export interface EmailTarget {
  /** Reference of the server's address, with user and password. */
  readonly smtp: string;
  readonly from: string;
  readonly to: readonly string[];
}

export function emailSchema(check: SecretCheck) {
  const address = text('an e-mail address', /^[^\s@]+@[^\s@]+$/);
  return map(
    {
      smtp: secret(check).meta({ description: 'Secret reference of smtp://USER:PASSWORD@HOST:PORT (STARTTLS) or smtps://….' }),
      from: text('an e-mail address', /^\S.*@\S+$|^[^\s@]+@[^\s@]+$/).meta({
        description: 'Such as Landfall <landfall@example.org>.',
      }),
      to: oneOrMany(address, 'an e-mail address').meta({ description: 'One address, or several.' }),
    },
    'Mail by SMTP.',
  );
}

export function resolveEmail({ to, ...email }: z.output<ReturnType<typeof emailSchema>>): EmailTarget {
  return { ...email, to: [to].flat() };
}
