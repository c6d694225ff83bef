import { defineCheck, pullMs } from '../check.ts';
import { fillIntegration, integrationSchema, resolveIntegration } from './plan.ts';

/** The image runs with the services that it needs, in a compose project of its own, and a test decides by its exit code. */
export const integrationCheck = defineCheck({
  kind: 'integration',
  title: 'Integration check',
  byDefault: false,
  last: true,
  needsDocker: true,
  keys: 'compose, test, services, …',
  schema: integrationSchema,
  alternatives: { test: ['image', 'service'] },
  resolve(input, complain) {
    const settings = resolveIntegration(input, complain);
    return { settings, timeoutMs: pullMs + settings.timeoutMs };
  },
  fill: fillIntegration,
  async create(context) {
    const [{ sharedImages }, { checkIntegration }] = await Promise.all([
      import('../../platform/docker/images.ts'),
      import('./check.ts'),
    ]);
    const images = sharedImages(context.docker);
    return { check: ({ settings, ...work }) => checkIntegration({ ...context, ...work, images, integration: settings }) };
  },
});
