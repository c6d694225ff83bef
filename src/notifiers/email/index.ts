import { defineNotifier } from '../notifier.ts';
import { emailSchema, resolveEmail } from './plan.ts';

/** Mail by SMTP, one for each notice, threaded. */
export const emailNotifier = defineNotifier({
  kind: 'email',
  schema: emailSchema,
  resolve: (email) => ({ settings: resolveEmail(email) }),
  async create(context) {
    const { createEmail } = await import('./notifier.ts');
    return createEmail(context);
  },
});
