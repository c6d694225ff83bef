import { z } from 'zod';
import { defineCheck } from '../../../src/checks/check.ts';
import { map } from '../../../src/settings/wording.ts';

/** Lets every image through, with a word about it. */
export const toyCheck = defineCheck({
  kind: 'riddle',
  title: 'Riddle',
  byDefault: false,
  needsDocker: false,
  keys: 'answer',
  schema: () => map({ answer: z.string().exactOptional() }, 'What the image answers.'),
  resolve: ({ answer = 'nothing' }) => ({ settings: { answer }, timeoutMs: 10_000 }),
  create: () => ({
    async check({ settings: { answer } }) {
      const text = `it answers ${answer}`;
      return { kind: 'checked', text, evidence: [{ title: 'Riddle', passed: true, text }] };
    },
  }),
});
