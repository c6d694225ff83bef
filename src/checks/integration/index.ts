import { defineCheck, pullMs } from '../check.ts';
import { integrationSchema, resolveIntegration } from './plan.ts';

/** The image runs with the services that it needs, in a compose project of its own, and a test decides by its exit code. */
export const integrationCheck = defineCheck({
  kind: 'integration',
  title: 'Integration check',
  byDefault: false,
  last: true,
  needsDocker: true,
  keys: 'compose, test, services, …',
  schema: integrationSchema,
  alternatives: { test: [['image', 'service']] },
  resolve(input, complain) {
    const settings = resolveIntegration(input, complain);
    return { settings, timeoutMs: pullMs + settings.timeoutMs };
  },
  fill: ({ compose, candidate, services, test, ...rest }, fill) => ({
    ...rest,
    compose: fill(compose),
    candidate: fill(candidate),
    services: services.map(fill),
    test: test.kind === 'exec' ? { ...test, service: fill(test.service) } : test,
  }),
  create: async (context) => (await import('./check.ts')).createIntegrationCheck(context),
});
