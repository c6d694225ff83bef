import { secret, text } from '../../settings/scalars.ts';
import { map, oneOrMany } from '../../settings/wording.ts';
import { defineNotifier } from '../notifier.ts';

/** Mail by SMTP, one for each notice, threaded. */
export const emailNotifier = defineNotifier({
  kind: 'email',
  schema: (check) =>
    map(
      {
        smtp: secret(check).describe('Secret reference of smtp://USER:PASSWORD@HOST:PORT (STARTTLS) or smtps://….'),
        from: text('an e-mail address', /^\S.*@\S+$|^[^\s@]+@[^\s@]+$/).describe('Such as Landfall <landfall@example.org>.'),
        to: oneOrMany(text('an e-mail address', /^[^\s@]+@[^\s@]+$/), 'an e-mail address').describe('One address, or several.'),
      },
      'Mail by SMTP.',
    ),
  resolve: ({ to, ...email }) => ({ settings: { ...email, to: [to].flat() } }),
  create: async (context) => (await import('./notifier.ts')).createEmail(context),
});
