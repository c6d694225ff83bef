import { defineCheck } from '../check.ts';
import { resolveScan, scanSchema, trivySchema, trivySettings } from './plan.ts';

/** A slow registry, and a database that has to be fetched first. */
const timeoutMs = 20 * 60_000;

/** Vulnerabilities and secrets in every wanted platform of the image, by Trivy; reports and SBOMs are kept. */
export const scanCheck = defineCheck({
  kind: 'scan',
  title: 'Scanned',
  byDefault: true,
  needsDocker: true,
  keys: 'failOn, ignoreUnfixed, ignore',
  schema: () => scanSchema,
  resolve: (input) => ({ settings: resolveScan(input), timeoutMs }),
  section: { key: 'trivy', schema: () => trivySchema },
  async create(context, section) {
    const { command, ...trivy } = trivySettings(section, context);
    const [{ createTrivy, trivyCommand }, { createScan }, { findTool }] = await Promise.all([
      import('./trivy.ts'),
      import('./scan.ts'),
      import('../../platform/tools.mjs'),
    ]);
    const { artifacts, credentials, env, log, now, plainHttp } = context;
    return createScan({
      trivy: createTrivy({
        ...trivy,
        command: trivyCommand({ configured: command, found: findTool('trivy', env) }),
        plainHttp,
        credentials,
        env,
      }),
      artifacts,
      log,
      now,
    });
  },
});
