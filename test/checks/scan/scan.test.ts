import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createChecks } from '../../../src/activities/check.ts';
import type { ScanPlan, ScanSummary } from '../../../src/checks/scan/policy.ts';
import { createScan, createScanner as createScans, type ScanDependencies } from '../../../src/checks/scan/scan.ts';
import { type Evidence, isEvidence } from '../../../src/domain/evidence.ts';
import type { Digest, Repository, Tag } from '../../../src/domain/image-reference.ts';
import type { CheckOutcome, VerifiedImage } from '../../../src/domain/outcomes.ts';
import type { Plan } from '../../../src/domain/plan.ts';
import { failureOf, runActivity } from '../../support/activity.ts';
import { startHttpServer } from '../../support/http-server.ts';
import { pushImage, pushIndex } from '../../support/images.ts';
import { checkOf, planOf, settingsIn } from '../../support/plans.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { createScanner, type TestScanner } from '../../support/scanner.ts';

const npmPackage = (name: string, version: string) => ({
  [`app/node_modules/${name}/package.json`]: JSON.stringify({ name, version }),
});
const alpine = {
  'etc/os-release': 'ID=alpine\nVERSION_ID=3.18.4\n',
  'lib/apk/db/installed': 'P:busybox\nV:1.36.1-r0\nA:x86_64\n\nP:zlib\nV:1.2.13-r1\nA:x86_64\n\n',
};

function planWith(scan: Partial<ScanPlan> = {}, more: Partial<Plan> = {}): Plan {
  return planOf({ checks: [checkOf('scan', { failOn: 'critical', ignoreUnfixed: true, ignore: [], ...scan })], ...more });
}

function imageAt(host: string, name: string, digest: Digest, platforms?: VerifiedImage['platforms']): VerifiedImage {
  return {
    repository: `${host}/${name}` as Repository,
    tag: 'latest' as Tag,
    digest,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    platforms: platforms ?? [{ platform: 'linux/amd64', digest }],
    size: 1,
  };
}

type Scans = Omit<ScanDependencies, 'log' | 'now'> & Partial<ScanDependencies>;

const silent = { info: () => undefined, warn: () => undefined };
const complete = (scans: Scans): ScanDependencies => ({ log: silent, now: () => new Date(), ...scans });

/** As a worker has it. */
function activityOf(scans: Scans) {
  const { 'check:scan': scan } = createChecks({ checks: new Map([['scan', createScan(complete(scans))]]) });
  return scan ?? assert.fail('there is no such activity');
}

function scanOnce(scans: Scans, plan: Plan, image: VerifiedImage): Promise<CheckOutcome> {
  return runActivity(activityOf(scans), { plan, image });
}

/** What a scan finds, whatever the policy makes of it. */
async function scanned(scans: Scans, plan: Plan, image: VerifiedImage): Promise<ScanSummary> {
  const settings = settingsIn<ScanPlan>(plan, 'scan') ?? assert.fail('the plan has no scan');
  return await createScans(complete(scans))({ plan, settings, image, signal: new AbortController().signal });
}

/** What a rejection carries. */
function evidenceIn(failure: ApplicationFailure): Evidence {
  const [[found]] = failure.details as [[unknown]];
  return isEvidence(found) ? found : assert.fail(JSON.stringify(failure.details));
}

/** Counts how often Trivy really scans. */
function counting(scanner: TestScanner): Scans & { readonly scans: string[] } {
  const scans: string[] = [];
  const scan: ScanDependencies['trivy']['scan'] = (image, files, signal) => {
    scans.push(image.digest);
    return scanner.trivy.scan(image, files, signal);
  };
  return { trivy: { ...scanner.trivy, scan }, artifacts: scanner.artifacts, scans };
}

describe('scan', function () {
  this.timeout(60_000);
  let registry: Registry;
  let scanner: TestScanner;
  const push = async (name: string, files: Record<string, string>, platform?: string) =>
    imageAt(registry.host, name, await pushImage(registry, name, 'latest', { files, ...(platform ? { platform } : {}) }));

  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry.stop());
  beforeEach(async () => {
    scanner = await createScanner();
  });
  afterEach(() => scanner.remove());

  it('rejects an image with a critical finding, and says what it is and how it is fixed', async () => {
    const image = await push('team/bad', { ...npmPackage('minimist', '1.2.5'), ...npmPackage('ms', '1.0.0') });
    const failure = await failureOf(scanOnce(scanner, planWith(), image));
    assert.equal(failure.type, 'ScanRejected');
    assert.equal(failure.nonRetryable, true);
    assert.equal(
      failure.message,
      '1 critical finding: CVE-2021-44906 in minimist 1.2.5 (fixed in 1.2.6); update them, or add an ignore entry with a reason',
    );
    const { passed, text, short, rows } = evidenceIn(failure);
    assert.deepEqual([passed, text, short], [false, '1 critical, 1 medium', '1 critical, 1 medium; 1 against the policy']);
    assert.equal(rows?.length, 2);
    assert.deepEqual(rows[0]?.slice(0, 5), ['critical', 'CVE-2021-44906', 'minimist 1.2.5', 'fixed in 1.2.6', 'linux/amd64']);
    const summary = await scanned(scanner, planWith(), image);
    assert.deepEqual(summary.counts, { unknown: 0, low: 0, medium: 1, high: 0, critical: 1 });
    // The report of the rejection is there.
    assert.deepEqual([summary.failing, summary.worst.length, summary.reused], [1, 2, true]);
  });

  it('passes an image whose findings are below the limit, and keeps the full report and an SBOM as artifacts', async () => {
    const image = await push('team/fair', npmPackage('lodash', '4.17.20'));
    const summary = await scanned(scanner, planWith(), image);
    assert.deepEqual([summary.counts.high, summary.failing, summary.database], [1, 0, '2026-01-01T00:00:00Z']);
    const folder = image.digest.replace(':', '/');
    assert.deepEqual(summary.artifacts, [`${folder}/trivy.json`, `${folder}/sbom.cdx.json`]);
    const [report, sbom] = await Promise.all(
      summary.artifacts.map((path) => readFile(join(scanner.artifacts.folder, path), 'utf8')),
    );
    assert.match(JSON.parse(report ?? '').ArtifactName, new RegExp(`${image.digest}$`));
    assert.equal(JSON.parse(sbom ?? '').bomFormat, 'CycloneDX');
    assert.match(sbom ?? '', /pkg:npm\/lodash@4\.17\.20/);
    assert.ok(Buffer.byteLength(JSON.stringify(summary)) < 4096);
    assert.deepEqual(await readdir(join(scanner.artifacts.folder, '.work')), []);
  });

  it('sets aside what has no fix, and fails it where the policy wants that', async () => {
    const image = await push('team/alpine', alpine);
    const failure = await failureOf(scanOnce(scanner, planWith(), image));
    assert.match(failure.message, /^1 critical finding: CVE-2022-48174 in busybox 1\.36\.1-r0 \(fixed in 1\.36\.1-r1\)/);
    assert.match(evidenceIn(failure).text, /, 1 ignored by the policy$/);
    const strict = await failureOf(scanOnce(scanner, planWith({ ignoreUnfixed: false }), image));
    assert.match(strict.message, /^2 critical findings: .*CVE-2023-45853 in zlib 1\.2\.13-r1/);
  });

  it('finds a secret in a file of the image, and does not repeat it', async () => {
    const key = 'AKIAIOSFODNN7EXAMPL3';
    const image = await push('team/leaky', { 'app/settings.py': `AWS_ACCESS_KEY_ID = "${key}"\n` });
    const failure = await failureOf(scanOnce(scanner, planWith(), image));
    assert.match(failure.message, /aws-access-key-id in \/app\/settings\.py/);
    assert.doesNotMatch(JSON.stringify(failure.details), new RegExp(key));
  });

  it('uses the report of a moment ago again, and judges it anew', async () => {
    const image = await push('team/again', npmPackage('minimist', '1.2.5'));
    const dependencies = counting(scanner);
    await failureOf(scanOnce(dependencies, planWith(), image));
    const ignore = [{ id: 'CVE-2021-44906', reason: 'not reachable' }];
    const summary = await scanned(dependencies, planWith({ ignore }), image);
    assert.deepEqual([summary.reused, summary.ignored, summary.counts.critical, summary.artifacts.length], [true, 1, 1, 2]);
    assert.deepEqual(dependencies.scans, [image.digest]);
  });

  it('scans anew once a day has passed', async () => {
    const image = await push('team/later', npmPackage('ms', '1.0.0'));
    const dependencies = counting(scanner);
    const start = Date.now();
    await scanned({ ...dependencies, now: () => new Date(start) }, planWith(), image);
    const hoursLater = (hours: number) => ({ ...dependencies, now: () => new Date(start + hours * 60 * 60 * 1000) });
    assert.equal((await scanned(hoursLater(23), planWith(), image)).reused, true);
    assert.equal((await scanned(hoursLater(25), planWith(), image)).reused, false);
    assert.equal(dependencies.scans.length, 2);
  });

  for (const damaged of ['scan.json', 'trivy.json']) {
    it(`scans anew where ${damaged} of the last scan is damaged`, async () => {
      const image = await push(`team/damaged-${damaged}`, npmPackage('ms', '1.0.0'));
      const dependencies = counting(scanner);
      await scanned(dependencies, planWith(), image);
      await writeFile(join(scanner.artifacts.folder, scanner.artifacts.pathOf(image.digest, damaged)), '{"scannedAt":');
      for (const reused of [false, true]) {
        const summary = await scanned(dependencies, planWith(), image);
        assert.deepEqual([summary.reused, summary.counts.medium], [reused, 1]);
      }
      assert.equal(dependencies.scans.length, 2);
    });
  }

  it('scans anew once the database is another', async () => {
    const image = await push('team/renewed', npmPackage('ms', '1.0.0'));
    const dependencies = counting(scanner);
    await scanned(dependencies, planWith(), image);
    const file = join(scanner.cacheDir, 'db', 'metadata.json');
    const metadata = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...metadata, UpdatedAt: '2026-02-02T00:00:00Z' }));
    const summary = await scanned(dependencies, planWith(), image);
    assert.deepEqual([summary.reused, summary.database, dependencies.scans.length], [false, '2026-02-02T00:00:00Z', 2]);
  });

  it('scans every platform of an index, and counts what they share once', async () => {
    const files = npmPackage('ms', '1.0.0');
    const platforms = ['linux/amd64', 'linux/arm64/v8'];
    const images = platforms.map((platform, index) => ({
      platform,
      files: index === 0 ? files : { ...files, ...npmPackage('minimist', '1.2.5') },
    }));
    const { digest, children } = await pushIndex(registry, 'team/multi', 'latest', images);
    const image = imageAt(
      registry.host,
      'team/multi',
      digest,
      platforms.map((platform, index) => ({ platform, digest: children[index] ?? digest })),
    );
    const failure = await failureOf(scanOnce(scanner, planWith(), image));
    assert.equal(evidenceIn(failure).text, '1 critical, 1 medium');
    assert.equal(evidenceIn(failure).rows?.[0]?.[4], 'linux/arm64/v8');
    const summary = await scanned(scanner, planWith(), image);
    assert.deepEqual([summary.counts.medium, summary.counts.critical, summary.platforms], [1, 1, platforms]);
    assert.equal(summary.worst[0]?.platform, 'linux/arm64/v8');
    assert.equal((await scanned(scanner, planWith({}, { platforms: ['linux/amd64'] }), image)).failing, 0);
    assert.equal((await failureOf(scanOnce(scanner, planWith({}, { platforms: ['linux/arm64'] }), image))).type, 'ScanRejected');
    const missing = await failureOf(scanOnce(scanner, planWith({}, { platforms: ['linux/s390x'] }), image));
    assert.equal(missing.type, 'PlatformMissing');
    assert.match(missing.message, /not there for linux\/s390x; it is for: linux\/amd64, linux\/arm64\/v8/);
  });

  it('asked for one digest several times at once, scans it once', async () => {
    const image = await push('team/popular', npmPackage('ms', '1.0.0'));
    const dependencies = counting(scanner);
    const scan = activityOf(dependencies);
    const answers = await Promise.all(Array.from({ length: 5 }, () => runActivity(scan, { plan: planWith(), image })));
    assert.deepEqual(
      answers.map(({ kind }) => kind),
      Array(5).fill('checked'),
    );
    assert.deepEqual(dependencies.scans, [image.digest]);
  });

  it('scans different digests at once without a fight over the cache', async () => {
    const images = await Promise.all(
      ['1.0.0', '1.0.1', '1.0.2', '1.0.3'].map((version) => push('team/many', npmPackage('ms', version))),
    );
    const scan = activityOf(scanner);
    const answers = await Promise.all(images.map((image) => runActivity(scan, { plan: planWith(), image })));
    assert.deepEqual(
      answers.map((answer) => answer.kind === 'checked' && answer.text),
      Array(4).fill('1 medium'),
    );
  });

  it('heartbeats while Trivy runs, and stops Trivy when it is cancelled', async () => {
    const server = await startHttpServer(() => undefined);
    try {
      const environment = new MockActivityEnvironment();
      const heartbeat = once(environment, 'heartbeat');
      const image = imageAt(server.host, 'team/slow', `sha256:${'b'.repeat(64)}` as Digest);
      const outcome = Promise.allSettled([environment.run(activityOf(scanner), { plan: planWith(), image })]);
      await heartbeat;
      const [request] = server.requests;
      assert.ok(request);
      const left = once(request.socket, 'close');
      environment.cancel();
      const [result] = await outcome;
      assert.ok(result.status === 'rejected' && result.reason instanceof CancelledFailure, JSON.stringify(result));
      await left;
      assert.deepEqual(await readdir(join(scanner.artifacts.folder, '.work')), []);
    } finally {
      await server.stop();
    }
  });

  it('goes on for the others when one of those that share a run is cancelled', async () => {
    let release: (() => void) | undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const image = await push('team/shared', npmPackage('ms', '1.0.0'));
    const { trivy, artifacts, scans } = counting(scanner);
    const started = new MockActivityEnvironment();
    const slow: ScanDependencies['trivy'] = {
      ...trivy,
      async scan(of, files, signal) {
        await held;
        return trivy.scan(of, files, signal);
      },
    };
    const scan = activityOf({ trivy: slow, artifacts });
    const cancelled = Promise.allSettled([started.run(scan, { plan: planWith(), image })]);
    const goesOn = runActivity(scan, { plan: planWith(), image });
    started.cancel();
    assert.equal((await cancelled)[0]?.status, 'rejected');
    release?.();
    assert.equal((await goesOn).kind, 'checked');
    assert.deepEqual(scans, [image.digest]);
  });
});
