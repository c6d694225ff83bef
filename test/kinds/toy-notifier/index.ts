import { appendFile } from 'node:fs/promises';
import { z } from 'zod';
import { defineNotifier } from '../../../src/notifiers/notifier.ts';

/** A line in a book for each notice. */
export const toyNotifier = defineNotifier({
  kind: 'logbook',
  schema: () => z.string().meta({ description: 'The book.' }),
  usualEvents: ['proposed', 'deploying', 'delivered'],
  resolve: (file) => ({ settings: { file } }),
  create: () => ({
    async send({ target: { file }, notice: { event, service } }) {
      await appendFile(file, `${service} ${event}\n`);
      return undefined;
    },
  }),
});
