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
  async create(context) {
    if (context.hostReach === 'network' && context.ownContainer === undefined)
      throw new Error("a worker that reaches containers by network has to know its own container's id: see workerReach");
    const [{ sharedImages }, { smokeTest }] = await Promise.all([
      import('../../platform/docker/images.ts'),
      import('./smoke-test.ts'),
    ]);
    const images = sharedImages(context.docker);
    return { check: (work) => smokeTest({ ...context, ...work, images }) };
  },
});
