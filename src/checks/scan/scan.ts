import { join } from 'node:path';
import { z } from 'zod';
import { type Evidence, type EvidenceItem, quoted } from '../../domain/evidence.ts';
import { Refusal } from '../../domain/failures.ts';
import type { Digest } from '../../domain/image-reference.ts';
import type { Checked, PlatformDigests, VerifiedImage } from '../../domain/outcomes.ts';
import type { Plan } from '../../domain/plan.ts';
import { sbomFile } from '../../platform/artifacts.ts';
import { meantPlatforms } from '../../platform/registry/platform.ts';
import { SharedRuns } from '../../platform/shared-runs.ts';
import { type BuiltWork, type Check, type CheckContext, CheckRefused, type CheckWork, referenceOf } from '../check.ts';
import { type Finding, judgeFindings, rejectionOf, type ScanPlan, type ScanSummary, severities } from './policy.ts';
import { mostFindings, readReport, tooMuch } from './read-report.ts';
import { scanners, type Trivy } from './trivy.ts';

export interface ScanDependencies extends Pick<CheckContext, 'artifacts' | 'log' | 'now'> {
  readonly trivy: Trivy;
}

type PlatformScan = Awaited<ReturnType<typeof scanPlatform>>;

const files = { report: 'trivy.json', sbom: sbomFile, record: 'scan.json' } as const;
/** A report is used again for as long, if nothing that it depends on has changed. */
const reuseWithinMs = 24 * 60 * 60 * 1000;

export function createScan(dependencies: ScanDependencies): Check<ScanPlan> {
  const scan = createScanner(dependencies);
  const judged = (summary: ScanSummary, settings: ScanPlan): Checked => {
    if (summary.failing > 0) throw new CheckRefused('ScanRejected', rejectionOf(summary, settings), [scanEvidence(summary)]);
    return scanned(summary);
  };
  const { trivy, now } = dependencies;
  return {
    figures: [
      {
        name: 'trivy_database_age_seconds',
        help: 'Since when the vulnerability database that scans use was made; absent where a Trivy server scans.',
        async read() {
          const madeAt = await trivy.databaseMadeAt();
          return madeAt === undefined ? undefined : (now().getTime() - Date.parse(madeAt)) / 1000;
        },
      },
    ],
    check: async (work) => judged(await scan(work), work.settings),
    async checkBuilt({ settings, image, repository, layout, signal }: BuiltWork<ScanPlan>) {
      const found = await scanPlatform(dependencies, { repository, layout }, image, signal);
      return judged(summaryOf([found], [image], settings, dependencies.now()), settings);
    },
    diagnose: (_settings, signal) => dependencies.trivy.diagnose(signal),
  };
}

/** Scans every wanted platform of an image, keeps reports and SBOMs as artifacts, and judges the findings by the policy. */
export function createScanner(dependencies: ScanDependencies) {
  const runs = new SharedRuns<PlatformScan>();
  return async ({ plan, settings, image, signal }: Omit<CheckWork<ScanPlan>, 'run' | 'later'>): Promise<ScanSummary> => {
    const platforms = wantedPlatforms(plan, image);
    const scans: PlatformScan[] = [];
    for (const platform of platforms) {
      const scan = (stop: AbortSignal) => scanPlatform(dependencies, image, platform, stop);
      scans.push(await runs.run(`${image.repository}@${platform.digest}`, scan, signal));
    }
    return summaryOf(scans, platforms, settings, dependencies.now());
  };
}

function summaryOf(
  scans: readonly PlatformScan[],
  platforms: readonly Pick<PlatformDigests, 'platform'>[],
  settings: ScanPlan,
  now: Date,
): ScanSummary {
  const findings = scans.flatMap((scan) => scan.findings);
  if (findings.length > mostFindings) throw tooMuch(`${findings.length} findings`);
  const database = scans[0]?.database;
  return {
    ...judgeFindings(findings, settings, now),
    platforms: platforms.map(({ platform }) => platform),
    ...(database !== undefined && { database }),
    reused: scans.length > 0 && scans.every((scan) => scan.reused),
    artifacts: scans.flatMap((scan) => scan.artifacts),
  };
}

/** All that a runtime of a wanted platform may choose. */
function wantedPlatforms(plan: Plan, image: VerifiedImage): readonly PlatformDigests[] {
  const missing = plan.platforms.filter((wanted) => meantPlatforms([wanted], image.platforms).length === 0);
  if (missing.length === 0) return meantPlatforms(plan.platforms, image.platforms);
  const there = image.platforms.map(({ platform }) => platform).join(', ');
  throw new Refusal('PlatformMissing', `${referenceOf(image)} is not there for ${missing.join(', ')}; it is for: ${there}`);
}

async function scanPlatform(
  { trivy, artifacts, log, now }: ScanDependencies,
  { repository, layout }: Pick<VerifiedImage, 'repository'> & { readonly layout?: string },
  { platform, digest }: PlatformDigests,
  signal: AbortSignal,
) {
  const database = await trivy.database(signal);
  const known = await knownFindings({ artifacts, log }, { platform, digest }, database, now());
  if (known !== undefined) {
    const paths = [files.report, files.sbom].map((name) => artifacts.pathOf(digest, name));
    return { findings: known, database, reused: true, artifacts: paths };
  }
  return artifacts.withWorkFolder(async (folder) => {
    const [report, sbom] = [join(folder, files.report), join(folder, files.sbom)];
    await trivy.scan({ repository, digest, ...(layout !== undefined && { layout }) }, { report, sbom }, signal);
    const paths = [await artifacts.keep(digest, files.report, report), await artifacts.keep(digest, files.sbom, sbom)];
    const findings = await reportOf(artifacts, digest, platform);
    if (findings === undefined) throw new Error(`the report of ${digest} is gone from the artifacts just after it was made`);
    // Last, because it says that the others are there and readable.
    await artifacts.keepText(digest, files.record, JSON.stringify({ scannedAt: now().toISOString(), database, scanners }));
    return { findings, database, reused: false, artifacts: paths };
  });
}

async function reportOf(artifacts: ScanDependencies['artifacts'], digest: Digest, platform: string) {
  return (await readReport(join(artifacts.folder, artifacts.pathOf(digest, files.report)), platform))?.findings;
}

const recordSchema = z.object({ scannedAt: z.iso.datetime(), database: z.string().optional(), scanners: z.string() });

/** The findings of a moment ago, where the same database and scanners made them. What cannot be read counts as unknown. */
async function knownFindings(
  { artifacts, log }: Pick<ScanDependencies, 'artifacts' | 'log'>,
  { platform, digest }: PlatformDigests,
  database: string | undefined,
  now: Date,
): Promise<readonly Finding[] | undefined> {
  if (database === undefined) return undefined;
  try {
    const record = await artifacts.readText(digest, files.record);
    if (record === undefined || !isCurrent(recordSchema.parse(JSON.parse(record)), database, now)) return undefined;
    return await reportOf(artifacts, digest, platform);
  } catch (error) {
    log.warn({ error }, `the last scan of ${digest} cannot be read, so it is scanned again`);
    return undefined;
  }
}

function isCurrent(record: z.infer<typeof recordSchema>, database: string, now: Date): boolean {
  const age = now.getTime() - Date.parse(record.scannedAt);
  return record.database === database && record.scanners === scanners && age >= 0 && age <= reuseWithinMs;
}

export function scanned(summary: ScanSummary): Checked {
  const aside = summary.ignored === 0 ? '' : ` (${summary.ignored} set aside by the policy)`;
  const text = `${countsText(summary)}${aside}${summary.reused ? '; report of a moment ago' : ''}`;
  return {
    kind: 'checked',
    text,
    evidence: [{ ...outcomeOf(summary), items: summary.worst.map(itemOf), artifacts: summary.artifacts }],
  };
}

/** Of an image that does not pass. */
function scanEvidence(summary: ScanSummary): Evidence {
  return { ...outcomeOf(summary), rows: summary.worst.map(rowOf) };
}

function outcomeOf(summary: ScanSummary): Evidence {
  const { failing, ignored } = summary;
  const counts = countsText(summary);
  const passed = failing === 0;
  return {
    title: 'Scanned',
    passed,
    text: `${counts}${ignored === 0 ? '' : `, ${ignored} ignored by the policy`}`,
    short: `${counts}; ${passed ? 'none fails the policy' : `${failing} against the policy`}`,
  };
}

/** `1 critical, 2 low`, worst first, or `no findings`. */
function countsText({ counts }: ScanSummary): string {
  const found = severities.toReversed().filter((severity) => counts[severity] > 0);
  return found.map((severity) => `${counts[severity]} ${severity}`).join(', ') || 'no findings';
}

function itemOf({ severity, id, where, installed, fixed, title, kind }: Finding): EvidenceItem {
  const version = installed === undefined ? '' : ` ${quoted(installed)}`;
  const remedy = fixed === undefined ? (kind === 'vulnerability' ? ', no fix yet' : '') : `, fixed in ${quoted(fixed)}`;
  const text = `${quoted(id)} in ${quoted(where)}${version}${remedy}${title === undefined ? '' : `: ${title}`}`;
  return { label: severity, text };
}

function rowOf({ severity, id, where, installed = '', fixed, platform, title = '', kind }: Finding): string[] {
  const remedy = kind === 'secret' ? 'secret' : fixed === undefined ? 'no fix yet' : `fixed in ${fixed}`;
  return [severity, id, `${where} ${installed}`.trim(), remedy, platform, title];
}
