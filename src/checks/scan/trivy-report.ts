import { z } from 'zod';
import { type Finding, severities } from './policy.ts';

/** Findings travel in workflow histories: names are cut where nobody would read on. */
const shortText = z.string().transform((text) => (text.length > 120 ? `${text.slice(0, 119)}…` : text));
const optionalText = shortText.nullish().transform((text) => text || undefined);
/** Trivy writes capitals. A word that is not one of ours is no reason to lose the finding. */
const severity = z.string().transform((word) => severities.find((known) => known === word.toLowerCase()) ?? 'unknown');

const foundSchema = z.object({
  InstalledVersion: optionalText,
  FixedVersion: optionalText,
  Title: optionalText,
  Severity: severity,
});

const reportSchema = z.object({
  SchemaVersion: z.literal(2),
  Results: z
    .array(
      z.object({
        Target: shortText,
        Type: shortText.nullish(),
        Vulnerabilities: z.array(foundSchema.extend({ VulnerabilityID: shortText, PkgName: shortText })).nullish(),
        Secrets: z.array(foundSchema.extend({ RuleID: shortText })).nullish(),
      }),
    )
    .nullish(),
});

/** What counts of a report. */
export interface Report {
  /** Not more than were asked for. */
  readonly findings: readonly Finding[];
  /** Of findings in all. */
  readonly count: number;
  /** Whether Trivy found Java archives in the image. */
  readonly hasJavaArchives: boolean;
}

/** Reads Trivy's JSON report (schema version 2). @throws Error where the text is no such report */
export function parseReport(text: string, platform: string, mostFindings = Number.POSITIVE_INFINITY): Report {
  const parsed = reportSchema.safeParse(JSON.parse(text));
  if (!parsed.success) {
    throw new Error(`expected a Trivy report of schema version 2: ${z.prettifyError(parsed.error)}; use Trivy 0.50 or later`);
  }
  const results = parsed.data.Results ?? [];
  const findings = results.flatMap(({ Target, Vulnerabilities, Secrets }) => [
    ...(Vulnerabilities ?? []).map(({ VulnerabilityID: id, PkgName: where, ...found }) =>
      findingOf({ kind: 'vulnerability', id, where, platform }, found),
    ),
    ...(Secrets ?? []).map(({ RuleID: id, ...found }) => findingOf({ kind: 'secret', id, where: Target, platform }, found)),
  ]);
  const hasJavaArchives = results.some(({ Type }) => Type === 'jar');
  return { findings: findings.slice(0, mostFindings), count: findings.length, hasJavaArchives };
}

function findingOf(
  what: Pick<Finding, 'kind' | 'id' | 'where' | 'platform'>,
  { Severity, InstalledVersion: installed, FixedVersion: fixed, Title: title }: z.output<typeof foundSchema>,
): Finding {
  return {
    ...what,
    severity: Severity,
    ...(installed !== undefined && { installed }),
    ...(fixed !== undefined && { fixed }),
    ...(title !== undefined && { title }),
  };
}
