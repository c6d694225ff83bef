import { z } from 'zod';
import { severities } from './plan.ts';
import type { Finding } from './policy.ts';

/** Findings travel in workflow histories: names are cut where nobody would read on. */
const shortText = z.string().transform((text) => (text.length > 120 ? `${text.slice(0, 119)}…` : text));
const optionalText = shortText.nullish().transform((text) => text || undefined);
/** Trivy writes capitals. A word that is not one of ours is no reason to lose the finding. */
const severity = z.string().transform((word) => severities.find((known) => known === word.toLowerCase()) ?? 'unknown');

const reportSchema = z.object({
  SchemaVersion: z.literal(2),
  Results: z
    .array(
      z.object({
        Target: shortText,
        Type: shortText.nullish(),
        Vulnerabilities: z
          .array(
            z.object({
              VulnerabilityID: shortText,
              PkgName: shortText,
              InstalledVersion: optionalText,
              FixedVersion: optionalText,
              Title: optionalText,
              Severity: severity,
            }),
          )
          .nullish(),
        Secrets: z.array(z.object({ RuleID: shortText, Title: optionalText, Severity: severity })).nullish(),
      }),
    )
    .nullish(),
});

/**
 * The findings of Trivy's JSON report (schema version 2).
 * @throws Error where the text is no such report
 */
export function parseReport(text: string, platform: string): Finding[] {
  return resultsOf(text).flatMap(({ Target, Vulnerabilities, Secrets }) => [
    ...(Vulnerabilities ?? []).map(
      (found): Finding => ({
        kind: 'vulnerability',
        id: found.VulnerabilityID,
        severity: found.Severity,
        where: found.PkgName,
        ...(found.InstalledVersion === undefined ? {} : { installed: found.InstalledVersion }),
        ...(found.FixedVersion === undefined ? {} : { fixed: found.FixedVersion }),
        ...(found.Title === undefined ? {} : { title: found.Title }),
        platform,
      }),
    ),
    ...(Secrets ?? []).map(
      (found): Finding => ({
        kind: 'secret',
        id: found.RuleID,
        severity: found.Severity,
        where: Target,
        ...(found.Title === undefined ? {} : { title: found.Title }),
        platform,
      }),
    ),
  ]);
}

/**
 * Whether Trivy found Java archives in the image.
 * @throws Error where the text is no report
 */
export function hasJavaArchives(text: string): boolean {
  return resultsOf(text).some(({ Type }) => Type === 'jar');
}

function resultsOf(text: string) {
  const report = reportSchema.safeParse(JSON.parse(text));
  if (report.success) return report.data.Results ?? [];
  throw new Error(`expected a Trivy report of schema version 2: ${z.prettifyError(report.error)}; use Trivy 0.50 or later`);
}
