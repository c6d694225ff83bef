import { join } from 'node:path';
import { Context } from '@temporalio/activity';
import { z } from 'zod';
import { judgeFindings, rejectionOf } from '../checks/scan/policy.ts';
import { scanners, type Trivy } from '../checks/scan/trivy.ts';
import { parseReport } from '../checks/scan/trivy-report.ts';
import type { ScanActivities } from '../contracts/activities/checks.ts';
import { Refusal } from '../domain/failures.ts';
import type { Finding, PlatformDigests, ScanSummary, VerifiedImage } from '../domain/outcomes.ts';
import type { Plan } from '../domain/plan.ts';
import type { Artifacts } from '../platform/artifacts.ts';
import { meantPlatforms } from '../platform/registry/platform.ts';
import { SharedRuns } from '../platform/shared-runs.ts';
import { answering } from './boundary.ts';

export interface ScanDependencies {
  readonly trivy: Trivy;
  readonly artifacts: Artifacts;
  readonly now?: () => Date;
}

interface PlatformScan {
  readonly findings: readonly Finding[];
  readonly database: string | undefined;
  readonly reused: boolean;
  readonly artifacts: readonly string[];
}

const files = { report: 'trivy.json', sbom: 'sbom.cdx.json', record: 'scan.json' } as const;
/** A report is used again for as long, where nothing that it depends on has changed. */
const reuseWithinMs = 24 * 60 * 60 * 1000;

export function createScan({ trivy, artifacts, now = () => new Date() }: ScanDependencies): ScanActivities {
  const runs = new SharedRuns<PlatformScan>();
  return {
    scan: answering(async ({ plan, image }) => {
      const signal = Context.current().cancellationSignal;
      const policy = plan.scan;
      if (policy === undefined)
        throw new Error(`the plan of ${plan.service} has no scan, expected one where a scan is asked for`);
      const platforms = wantedPlatforms(plan, image);
      const scans: PlatformScan[] = [];
      for (const platform of platforms) {
        const scan = (stop: AbortSignal) => scanPlatform({ trivy, artifacts, now }, image, platform, stop);
        scans.push(await runs.run(`${image.repository}@${platform.digest}`, scan, signal));
      }
      const findings = scans.flatMap((scan) => scan.findings);
      const summary = summaryOf(scans, judgeFindings(findings, policy, now()), platforms);
      if (summary.failing > 0) throw new Refusal('ScanRejected', rejectionOf(summary, policy), [summary]);
      return summary;
    }),
  };
}

/** All that a runtime of a wanted platform may choose. */
function wantedPlatforms(plan: Plan, image: VerifiedImage): readonly PlatformDigests[] {
  const missing = plan.platforms.filter((wanted) => meantPlatforms([wanted], image.platforms).length === 0);
  if (missing.length === 0) return meantPlatforms(plan.platforms, image.platforms);
  const there = image.platforms.map(({ platform }) => platform).join(', ');
  throw new Refusal(
    'PlatformMissing',
    `${image.repository}@${image.digest} is not there for ${missing.join(', ')}; it is for: ${there}`,
  );
}

async function scanPlatform(
  { trivy, artifacts, now }: Required<ScanDependencies>,
  { repository }: VerifiedImage,
  { platform, digest }: PlatformDigests,
  signal: AbortSignal,
): Promise<PlatformScan> {
  const database = await trivy.database(signal);
  const known = await knownFindings(artifacts, { platform, digest }, database, now());
  if (known !== undefined) {
    const paths = [files.report, files.sbom].map((name) => artifacts.pathOf(digest, name));
    return { findings: known, database, reused: true, artifacts: paths };
  }
  return artifacts.withWorkFolder(async (folder) => {
    const [report, sbom] = [join(folder, files.report), join(folder, files.sbom)];
    await trivy.scan({ repository, digest }, { report, sbom }, signal);
    const paths = [await artifacts.keep(digest, files.report, report), await artifacts.keep(digest, files.sbom, sbom)];
    const findings = parseReport((await artifacts.readText(digest, files.report)) ?? '', platform);
    // Last, because it says that the others are there and readable.
    await artifacts.keepText(digest, files.record, JSON.stringify({ scannedAt: now().toISOString(), database, scanners }));
    return { findings, database, reused: false, artifacts: paths };
  });
}

const recordSchema = z.object({ scannedAt: z.iso.datetime(), database: z.string().optional(), scanners: z.string() });

/** The findings of a moment ago, where the same database and scanners made them. What cannot be read counts as unknown. */
async function knownFindings(
  artifacts: Artifacts,
  { platform, digest }: PlatformDigests,
  database: string | undefined,
  now: Date,
): Promise<Finding[] | undefined> {
  if (database === undefined) return undefined;
  try {
    const record = await artifacts.readText(digest, files.record);
    if (record === undefined) return undefined;
    if (!isCurrent(recordSchema.parse(JSON.parse(record)), database, now)) return undefined;
    const report = await artifacts.readText(digest, files.report);
    return report === undefined ? undefined : parseReport(report, platform);
  } catch (error) {
    Context.current().log.warn(`the last scan of ${digest} cannot be read, so it is scanned again`, { error });
    return undefined;
  }
}

function isCurrent(record: z.infer<typeof recordSchema>, database: string, now: Date): boolean {
  const age = now.getTime() - Date.parse(record.scannedAt);
  return record.database === database && record.scanners === scanners && age >= 0 && age <= reuseWithinMs;
}

function summaryOf(
  scans: readonly PlatformScan[],
  verdict: ReturnType<typeof judgeFindings>,
  platforms: readonly PlatformDigests[],
): ScanSummary {
  const database = scans[0]?.database;
  return {
    kind: 'scanned',
    ...verdict,
    platforms: platforms.map(({ platform }) => platform),
    ...(database === undefined ? {} : { database }),
    reused: scans.length > 0 && scans.every((scan) => scan.reused),
    artifacts: scans.flatMap((scan) => scan.artifacts),
  };
}
