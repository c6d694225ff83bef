import { defineCheck, pullMs } from '../check.ts';
import { resolveSmoke, smokeAlternatives, smokeSchema } from './plan.ts';

/** The container is started once, by Docker or as a pod, without rights and without a network beyond its own, and has to become ready, or to run to its end. */
export const smokeCheck = defineCheck({
  kind: 'smoke',
  title: 'Smoke-tested',
  byDefault: true,
  needsDocker: true,
  keys: 'timeout, env, http, …',
  schema: smokeSchema,
  alternatives: { '': smokeAlternatives },
  ofBuilds: { byDefault: false, ofTest: ({ run, json }) => ({ run: [...run], expect: { json } }) },
  resolve(input, complain) {
    const settings = resolveSmoke(input, complain);
    return { settings, timeoutMs: pullMs + settings.timeoutMs, needsDocker: settings.kubernetes === undefined };
  },
  async create(context) {
    const [{ createSmokeTest }, { smokeTestInPod }, { sweepPods }] = await Promise.all([
      import('./smoke-test.ts'),
      import('./pod/pod-test.ts'),
      import('./pod/owned-pods.ts'),
    ]);
    const byDocker = createSmokeTest(context);
    return {
      ...byDocker,
      check(work) {
        const { kubernetes } = work.settings;
        if (kubernetes === undefined) return byDocker.check(work);
        return smokeTestInPod({ ...context, ...work, settings: { ...work.settings, kubernetes } });
      },
      sweep: (plans, isPending) => sweepPods(context, plans, isPending),
    };
  },
});
