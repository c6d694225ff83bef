import { join, resolve } from 'node:path';
import { z } from 'zod';
import { text, url } from '../../settings/scalars.ts';
import { map, showValue } from '../../settings/wording.ts';
import type { CheckContext } from '../check.ts';

/** What the configuration says of scans. */

export const severities = ['unknown', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof severities)[number];

export interface ScanPlan {
  /** The lowest severity that fails the scan; `none` reports only. */
  readonly failOn: Severity | 'none';
  /** Findings without a fixed version do not fail the scan. */
  readonly ignoreUnfixed: boolean;
  readonly ignore: readonly IgnoredFinding[];
}

export interface IgnoredFinding {
  /** Vulnerability id (`CVE-2024-1234`, `GHSA-...`) or the rule id of a secret. */
  readonly id: string;
  readonly reason: string;
  /** ISO date; the entry holds to the end of that day, UTC. */
  readonly until?: string;
}

export type ScanInput = z.output<typeof scanSchema>;

export const scanSchema = map(
  {
    failOn: z
      .enum([...severities, 'none'])
      .meta({ description: 'The lowest severity that fails the scan; none only reports. Default: critical.' })
      .exactOptional(),
    ignoreUnfixed: z
      .boolean()
      .meta({ description: 'Findings without a fixed version do not fail the scan. Default: false.' })
      .exactOptional(),
    ignore: z
      .array(
        map(
          {
            id: text('the id of a finding, such as CVE-2024-1234'),
            reason: text('a reason: why this finding is no danger here'),
            until: z.iso
              .date({ error: (issue) => `expected a date such as 2026-12-31, found ${showValue(issue.input)}` })
              .meta({ description: 'The entry holds to the end of this day, UTC.' })
              .exactOptional(),
          },
          'One finding that does not fail the scan, and why.',
        ),
      )
      .exactOptional(),
  },
  'Trivy on each wanted platform, for vulnerabilities and secrets.',
);

export function resolveScan({ failOn = 'critical', ignoreUnfixed = false, ignore = [] }: ScanInput): ScanPlan {
  return { failOn, ignoreUnfixed, ignore };
}

export type TrivySection = z.output<typeof trivySchema>;

export const trivySchema = map(
  {
    command: text('a command')
      .meta({ description: 'The Trivy command. Default: trivy on PATH, then the image aquasec/trivy.' })
      .exactOptional(),
    cacheDir: text('a folder')
      .meta({ description: "Trivy's cache folder, relative to this file. Default: trivy in the folder data." })
      .exactOptional(),
    dbRepository: text('an OCI repository')
      .meta({ description: 'Where the vulnerability database is pulled from.' })
      .exactOptional(),
    javaDbRepository: text('an OCI repository')
      .meta({ description: 'Where the index of Java archives is pulled from, once an image has some.' })
      .exactOptional(),
    offline: z.boolean().meta({ description: 'Use the databases that are there, and the network for nothing.' }).default(false),
    server: url('a Trivy server that scans in place of this machine').exactOptional(),
  },
  'How images are scanned.',
);

/** With every default; `cacheDir` is absolute. */
export function trivySettings({ cacheDir, ...trivy }: TrivySection, folders: Pick<CheckContext, 'baseDir' | 'data'>) {
  const { baseDir, data } = folders;
  return { ...trivy, cacheDir: cacheDir === undefined ? join(data, 'trivy') : resolve(baseDir, cacheDir) };
}
