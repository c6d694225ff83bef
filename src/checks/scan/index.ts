import { join, resolve } from 'node:path';
import { z } from 'zod';
import { memory, size, text, url } from '../../settings/scalars.ts';
import { expecting, map, optional } from '../../settings/wording.ts';
import { type CheckContext, defineCheck } from '../check.ts';
import { scanSchema } from './policy.ts';

export const trivySchema = map(
  {
    command: optional(text('a command'), 'The Trivy command. Default: trivy on PATH, then the image aquasec/trivy.'),
    cacheDir: optional(text('a folder'), "Trivy's cache folder, relative to this file. Default: trivy in the folder data."),
    dbRepository: optional(text('an OCI repository'), 'Where the vulnerability database is pulled from.'),
    javaDbRepository: optional(
      text('an OCI repository'),
      'Where the index of Java archives is pulled from, once an image has some.',
    ),
    offline: z.boolean().describe('Use the databases that are there, and the network for nothing.').default(false),
    memory: optional(memory, 'Most memory that it may have. Default: 4g.'),
    disk: optional(size, 'Most that it may unpack an image to. Default: 20g.'),
    layers: optional(
      z.union([z.literal('off'), size], expecting('off or a size such as 512m or 2g')),
      'Most that what was found in layers may take on the disk, so that a layer is looked through once; off: at each scan. Default: 2g.',
    ),
    server: url('a Trivy server that scans in place of this machine').exactOptional(),
  },
  'How images are scanned.',
);

/** With every default; `cacheDir` is absolute. */
export function trivySettings(
  { cacheDir, ...trivy }: z.output<typeof trivySchema>,
  { baseDir, data }: Pick<CheckContext, 'baseDir' | 'data'>,
) {
  return { ...trivy, cacheDir: cacheDir === undefined ? join(data, 'trivy') : resolve(baseDir, cacheDir) };
}

/** A slow registry, and a database that has to be fetched first. */
const timeoutMs = 20 * 60_000;

/** Vulnerabilities and secrets in every wanted platform of the image, by Trivy; reports and SBOMs are kept. */
export const scanCheck = defineCheck({
  kind: 'scan',
  title: 'Scanned',
  byDefault: true,
  needsDocker: true,
  keys: 'failOn, ignoreUnfixed, ignore',
  // What is known to be wrong is told; whether it may be deployed is for the service to say.
  ofBuilds: { byDefault: true, defaults: { failOn: 'none' } },
  schema: () => scanSchema,
  resolve: ({ failOn = 'critical', ignoreUnfixed = false, ignore = [] }) => ({
    settings: { failOn, ignoreUnfixed, ignore },
    timeoutMs,
  }),
  section: { key: 'trivy', schema: () => trivySchema },
  async create(context, section) {
    const { command, layers, ...trivy } = trivySettings(section, context);
    const [{ createTrivy }, { trivyCommand }, { createScan }, { findTool }] = await Promise.all([
      import('./trivy.ts'),
      import('./trivy-process.ts'),
      import('./scan.ts'),
      import('../../platform/tools.mjs'),
    ]);
    const started = trivyCommand({ configured: command, found: findTool('trivy', context.env) });
    const { registry, log } = context;
    const kept = layers !== 'off' && { layers: { registry, log, ...(layers !== undefined && { mostBytes: layers }) } };
    return createScan({ ...context, trivy: createTrivy({ ...context, ...trivy, ...kept, command: started }) });
  },
});
