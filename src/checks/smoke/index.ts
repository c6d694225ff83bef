import { defineCheck, pullMs } from '../check.ts';
import { resolveSmoke, smokeSchema } from './plan.ts';

/** The container is started once, without rights and without a network beyond its own, and has to become ready. */
export const smokeCheck = defineCheck({
  kind: 'smoke',
  title: 'Smoke-tested',
  byDefault: true,
  needsDocker: true,
  keys: 'timeout, env, http, …',
  schema: smokeSchema,
  alternatives: { '': ['http', 'tcp', 'exec'] },
  resolve(input, complain) {
    const settings = resolveSmoke(input, complain);
    return { settings, timeoutMs: pullMs + settings.timeoutMs };
  },
  create: async (context) => (await import('./smoke-test.ts')).createSmokeTest(context),
});
