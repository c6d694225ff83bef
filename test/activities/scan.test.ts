import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createScan, type ScanDependencies } from '../../src/activities/scan.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import type { RateLimited, ScanSummary, VerifiedImage } from '../../src/domain/outcomes.ts';
import type { Plan, ScanPlan } from '../../src/domain/plan.ts';
import { startHttpServer } from '../support/http-server.ts';
import { pushArtifact, pushImage, pushIndex } from '../support/images.ts';
import { planOf } from '../support/plans.ts';
import { type Registry, registryAccount, startRegistry } from '../support/registry.ts';
import { createScanner, type TestScanner, testDatabase, trivyProgram } from '../support/scanner.ts';
import { ustar } from '../support/ustar.ts';

const npmPackage = (name: string, version: string) => ({
  [`app/node_modules/${name}/package.json`]: JSON.stringify({ name, version }),
});
const alpine = {
  'etc/os-release': 'ID=alpine\nVERSION_ID=3.18.4\n',
  'lib/apk/db/installed': 'P:busybox\nV:1.36.1-r0\nA:x86_64\n\nP:zlib\nV:1.2.13-r1\nA:x86_64\n\n',
};

function planWith(scan: Partial<ScanPlan> = {}, more: Partial<Plan> = {}): Plan {
  return planOf({ scan: { failOn: 'critical', ignoreUnfixed: true, ignore: [], ...scan }, ...more });
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

function scanOnce(dependencies: ScanDependencies, plan: Plan, image: VerifiedImage): Promise<ScanSummary | RateLimited> {
  return new MockActivityEnvironment().run(createScan(dependencies).scan, { plan, image });
}

async function scanned(dependencies: ScanDependencies, plan: Plan, image: VerifiedImage): Promise<ScanSummary> {
  const outcome = await scanOnce(dependencies, plan, image);
  assert.equal(outcome.kind, 'scanned');
  return outcome as ScanSummary;
}

async function failureOf(work: Promise<unknown>): Promise<ApplicationFailure> {
  const [result] = await Promise.allSettled([work]);
  assert.ok(result.status === 'rejected' && result.reason instanceof ApplicationFailure, JSON.stringify(result));
  return result.reason;
}

/** Counts how often Trivy really scans. */
function counting(scanner: TestScanner): ScanDependencies & { readonly scans: string[] } {
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
    const summary = failure.details?.[0] as ScanSummary;
    assert.deepEqual(summary.counts, { unknown: 0, low: 0, medium: 1, high: 0, critical: 1 });
    assert.deepEqual([summary.failing, summary.worst.length, summary.reused], [1, 2, false]);
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
    assert.equal((failure.details?.[0] as ScanSummary).ignored, 1);
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

  it('scans anew once a day has passed, or once the database is another', async () => {
    const image = await push('team/later', npmPackage('ms', '1.0.0'));
    const dependencies = counting(scanner);
    await scanned(dependencies, planWith(), image);
    const tomorrow = () => new Date(Date.now() + 25 * 60 * 60 * 1000);
    assert.equal((await scanned({ ...dependencies, now: tomorrow }, planWith(), image)).reused, false);
    const metadata = {
      Version: 2,
      NextUpdate: '2099-01-01T00:00:00Z',
      UpdatedAt: '2026-02-02T00:00:00Z',
      DownloadedAt: '2026-01-01T00:00:00Z',
    };
    await writeFile(join(scanner.cacheDir, 'db', 'metadata.json'), JSON.stringify(metadata));
    const summary = await scanned(dependencies, planWith(), image);
    assert.deepEqual([summary.reused, summary.database], [false, '2026-02-02T00:00:00Z']);
    assert.equal(dependencies.scans.length, 3);
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
    const summary = failure.details?.[0] as ScanSummary;
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
    const { scan } = createScan(dependencies);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => new MockActivityEnvironment().run(scan, { plan: planWith(), image })),
    );
    assert.deepEqual(
      answers.map(({ kind }) => kind),
      Array(5).fill('scanned'),
    );
    assert.deepEqual(dependencies.scans, [image.digest]);
  });

  it('scans different digests at once without a fight over the cache', async () => {
    const images = await Promise.all(
      ['1.0.0', '1.0.1', '1.0.2', '1.0.3'].map((version) => push('team/many', npmPackage('ms', version))),
    );
    const { scan } = createScan(scanner);
    const answers = await Promise.all(
      images.map((image) => new MockActivityEnvironment().run(scan, { plan: planWith(), image })),
    );
    assert.deepEqual(
      answers.map((answer) => answer.kind === 'scanned' && answer.counts.medium),
      [1, 1, 1, 1],
    );
  });

  it('downloads the database once for all scans that want it', async () => {
    const tar = ustar(
      await Promise.all(
        ['trivy.db', 'metadata.json'].map(async (path) => ({
          path,
          content: await readFile(join(testDatabase, path)),
          mode: 0o644,
        })),
      ),
    );
    await pushArtifact(registry, 'mirror/trivy-db', '2', {
      config: ['application/vnd.aquasec.trivy.config.v1+json', '{}'],
      layers: [['application/vnd.aquasec.trivy.db.layer.v1.tar+gzip', gzipSync(tar)]],
    });
    const log = join(scanner.artifacts.folder, '..', 'arguments');
    const command = ['/bin/sh', '-c', `echo "$@" >> '${log}'; exec "$0" "$@"`, trivyProgram()];
    const fresh = await createScanner({
      database: false,
      offline: false,
      dbRepository: `${registry.host}/mirror/trivy-db`,
      command,
    });
    try {
      const signal = new AbortController().signal;
      const versions = await Promise.all([1, 2, 3].map(() => fresh.trivy.database(signal)));
      assert.deepEqual(versions, Array(3).fill('2026-01-01T00:00:00Z'));
      assert.equal((await readFile(log, 'utf8')).match(/--download-db-only/g)?.length, 1);
      assert.equal((await scanned(fresh, planWith(), await push('team/down', npmPackage('ms', '1.0.0')))).counts.medium, 1);
    } finally {
      await fresh.remove();
    }
  });

  it('says what to do where there is no database', async () => {
    const image = await push('team/blind', npmPackage('ms', '1.0.0'));
    for (const [options, message] of [
      [{ offline: true }, /no vulnerability database in .*put trivy\.db and metadata\.json there/],
      [
        { offline: false, dbRepository: '127.0.0.1:9/trivy-db' },
        /cannot be downloaded; let this machine reach 127\.0\.0\.1:9\/trivy-db/,
      ],
    ] as const) {
      const blind = await createScanner({ database: false, ...options });
      try {
        await assert.rejects(scanOnce(blind, planWith(), image), (error) => {
          // Neither is an answer about the image: it is tried again.
          return error instanceof Error && !(error instanceof ApplicationFailure) && message.test(error.message);
        });
      } finally {
        await blind.remove();
      }
    }
  });

  it('gives the registry its credentials, which no argument shows', async () => {
    const locked = await startRegistry({ basicAuth: true });
    const log = join(scanner.artifacts.folder, '..', 'arguments');
    const command = ['/bin/sh', '-c', `echo "$@" >> '${log}'; env >> '${log}'; exec "$0" "$@"`, trivyProgram()];
    const { user: username, password } = registryAccount;
    const known = await createScanner({ command, credentials: async () => ({ username, password }) });
    const wrong = await createScanner({ credentials: async () => ({ username, password: 'a wrong, "one"' }) });
    try {
      const image = imageAt(
        locked.host,
        'team/locked',
        await pushImage(locked, 'team/locked', 'latest', { files: npmPackage('ms', '1.0.0') }),
      );
      assert.equal((await scanned(known, planWith(), image)).counts.medium, 1);
      assert.doesNotMatch(await readFile(log, 'utf8'), new RegExp(password));
      for (const stranger of [wrong, scanner]) {
        const failure = await failureOf(scanOnce(stranger, planWith(), image));
        assert.equal(failure.type, 'CredentialsRefused');
        assert.match(failure.message, /does not let Trivy read .*check the credentials under registries/);
        assert.doesNotMatch(failure.message, /a wrong/);
      }
    } finally {
      await Promise.all([locked.stop(), known.remove(), wrong.remove()]);
    }
  });

  const answers: readonly (readonly [number, string, (outcome: PromiseSettledResult<ScanSummary | RateLimited>) => boolean])[] = [
    [403, 'is refused for good', (outcome) => outcome.status === 'rejected' && outcome.reason?.type === 'CredentialsRefused'],
    [
      429,
      'waits',
      (outcome) =>
        outcome.status === 'fulfilled' && outcome.value.kind === 'rate-limited' && Date.parse(outcome.value.until) > Date.now(),
    ],
    [
      500,
      'is tried again, although Trivy then comes without credentials and is told 401',
      (outcome) => outcome.status === 'rejected' && !(outcome.reason instanceof ApplicationFailure),
    ],
  ];
  for (const [status, claim, isRight] of answers) {
    it(`whose registry answers ${status} ${claim}`, async () => {
      const server = await startHttpServer((request, response) => {
        response.writeHead(request.headers.authorization ? status : 401, { 'www-authenticate': 'Basic realm="test"' }).end();
      });
      const known = await createScanner({ credentials: async () => ({ username: 'robot$landfall+a', password: 'p, a"ß \\ w' }) });
      try {
        const image = imageAt(server.host, 'team/app', `sha256:${'a'.repeat(64)}` as Digest);
        const [outcome] = await Promise.allSettled([scanOnce(known, planWith(), image)]);
        assert.ok(isRight(outcome), JSON.stringify(outcome));
        const sent = server.requests.map(({ headers }) => headers.authorization).find((header) => header !== undefined);
        assert.equal(sent, `Basic ${Buffer.from('robot$landfall+a:p, a"ß \\ w').toString('base64')}`);
      } finally {
        await Promise.all([server.stop(), known.remove()]);
      }
    });
  }

  it('heartbeats while Trivy runs, and stops Trivy when it is cancelled', async () => {
    const server = await startHttpServer(() => undefined);
    try {
      const environment = new MockActivityEnvironment();
      const heartbeat = once(environment, 'heartbeat');
      const image = imageAt(server.host, 'team/slow', `sha256:${'b'.repeat(64)}` as Digest);
      const outcome = Promise.allSettled([environment.run(createScan(scanner).scan, { plan: planWith(), image })]);
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
    const { scan } = createScan({ trivy: slow, artifacts });
    const cancelled = Promise.allSettled([started.run(scan, { plan: planWith(), image })]);
    const goesOn = new MockActivityEnvironment().run(scan, { plan: planWith(), image });
    started.cancel();
    assert.equal((await cancelled)[0]?.status, 'rejected');
    release?.();
    assert.equal((await goesOn).kind, 'scanned');
    assert.deepEqual(scans, [image.digest]);
  });

  it('says so where Trivy cannot be started', async () => {
    const absent = await createScanner({ command: ['/nonexistent/trivy'] });
    const file = join(absent.artifacts.folder, '..', 'not-a-program');
    await writeFile(file, '');
    await chmod(file, 0o644);
    const forbidden = await createScanner({ command: [file] });
    try {
      const image = imageAt(registry.host, 'team/none', `sha256:${'c'.repeat(64)}` as Digest);
      for (const without of [absent, forbidden]) {
        await assert.rejects(
          scanOnce(without, planWith(), image),
          /Trivy cannot be started as .*install Trivy, or name it in TRIVY/,
        );
      }
    } finally {
      await Promise.all([absent.remove(), forbidden.remove()]);
    }
  });
});
