import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Finding } from '../../../src/checks/scan/policy.ts';
import { trivyArguments, trivyCommand } from '../../../src/checks/scan/trivy-process.ts';
import { parseReport } from '../../../src/checks/scan/trivy-report.ts';
import { RateLimit, Refusal } from '../../../src/domain/failures.ts';
import type { Digest, Repository } from '../../../src/domain/image-reference.ts';
import { Artifacts } from '../../../src/platform/artifacts.ts';
import { reservePort } from '../../../src/platform/ports.ts';
import { identityTokenUser } from '../../../src/platform/registry/credentials.ts';
import { startHttpServer } from '../../support/http-server.ts';
import { pushImage } from '../../support/images.ts';
import { type Registry, registryAccount, startRegistry } from '../../support/registry.ts';
import { pushBlob, pushManifest } from '../../support/registry-upload.ts';
import { createScanner, scannersOfTests, type TestScanner, testDatabase, trivyProgram } from '../../support/scanner.ts';
import { ustar } from '../../support/ustar.ts';
import { eventually } from '../../support/wait.ts';

const files = { 'app/node_modules/ms/package.json': JSON.stringify({ name: 'ms', version: '1.0.0' }) };
const someDigest = `sha256:${'a'.repeat(64)}` as Digest;
const never = () => new AbortController().signal;

/** Scans as the step does, and returns what was found. */
function scan({ trivy, artifacts }: TestScanner, host: string, name: string, digest: Digest): Promise<readonly Finding[]> {
  return artifacts.withWorkFolder(async (folder) => {
    const report = join(folder, 'trivy.json');
    await trivy.scan(
      { repository: `${host}/${name}` as Repository, digest },
      { report, sbom: join(folder, 'sbom.json') },
      never(),
    );
    return parseReport(await readFile(report, 'utf8'), 'linux/amd64').findings;
  });
}

/** Writes down arguments and environment of each run before it becomes Trivy. */
function recordingCommand(log: string): readonly string[] {
  return ['/bin/sh', '-c', `echo "$@" >> '${log}'; env >> '${log}'; exec "$0" "$@"`, trivyProgram()];
}

/** A database as its publishers push it. @param kind as in its media type */
async function pushDatabase(
  registry: Registry,
  name: string,
  kind: 'db' | 'javadb',
  content: Readonly<Record<string, Buffer>>,
): Promise<void> {
  const entries = Object.entries(content).map(([path, bytes]) => ({ path, content: bytes, mode: 0o644 }));
  const layer = await pushBlob(
    registry,
    name,
    `application/vnd.aquasec.trivy.${kind}.layer.v1.tar+gzip`,
    gzipSync(ustar(entries)),
  );
  await pushManifest(registry, name, kind === 'db' ? '2' : '1', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: await pushBlob(registry, name, 'application/vnd.aquasec.trivy.config.v1+json', Buffer.from('{}')),
    layers: [{ ...layer, annotations: { 'org.opencontainers.image.title': `${kind}.tar.gz` } }],
  });
}

/** An SQLite database with Trivy's tables `artifacts` and `indices`, both empty, and compressed. */
const javaTables = Buffer.from(
  'H4sIAAAAAAACA+2RuwrCQBBFZxLBytrCwgELFYIg/oAP0tn46GUTR11MTNiMYkp/wS82CfFVWYse2N27d2HvwF3MplqYNpEJldAA' +
    'LECEIREA2OW6k+vKyx3hMzb0fKxlwsIW4DXbvo/QqtYbDbz0RXkB68Na+5yUhz2Zu6OlS8vReOpSaXaUEb1Rvqz0OvOEt2ycE5tE' +
    'RwcSPouT7FSfvCDyHGX8nT7xStKYi7dugNV6s4mXdhF3/yp5COst8mF3nlkUGx0qk9KeU2dromOcD1IEv05WpOXdZKX/+VH+/f82' +
    'N8HOGmIABgAA',
  'base64',
);

/** An index of Java archives that knows none. */
function emptyJavaIndex(nextUpdate: Date): Readonly<Record<string, Buffer>> {
  const metadata = { Version: 1, UpdatedAt: '2026-01-01T00:00:00Z', NextUpdate: nextUpdate.toISOString() };
  return { 'trivy-java.db': gunzipSync(javaTables), 'metadata.json': Buffer.from(JSON.stringify(metadata)) };
}

/** A zip file with `META-INF/maven/a/b/pom.properties`: `groupId=a`, `artifactId=b`, `version=1`. */
const javaArchive = Buffer.from(
  'UEsDBBQAAAAAAAAAIQBlBmKJIAAAACAAAAAhAAAATUVUQS1JTkYvbWF2ZW4vYS9iL3BvbS5wcm9wZXJ0aWVzZ3JvdXBJZD1hCmFy' +
    'dGlmYWN0SWQ9Ygp2ZXJzaW9uPTFQSwECFAMUAAAAAAAAACEAZQZiiSAAAAAgAAAAIQAAAAAAAAAAAAAAgAEAAAAATUVUQS1JTkYv' +
    'bWF2ZW4vYS9iL3BvbS5wcm9wZXJ0aWVzUEsFBgAAAAABAAEATwAAAF8AAAAAAA==',
  'base64',
);

describe('Trivy', function () {
  this.timeout(60_000);
  let registry: Registry;
  const scannerWith = scannersOfTests();

  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry.stop());

  it('downloads the database once for all scans that want it', async () => {
    const content = ['trivy.db', 'metadata.json'].map(async (path) => [path, await readFile(join(testDatabase, path))] as const);
    await pushDatabase(registry, 'mirror/trivy-db', 'db', Object.fromEntries(await Promise.all(content)));
    const { artifacts } = await scannerWith();
    await mkdir(artifacts.folder);
    const log = join(artifacts.folder, 'log');
    const fresh = await scannerWith({
      database: false,
      offline: false,
      dbRepository: `${registry.host}/mirror/trivy-db`,
      command: recordingCommand(log),
    });
    const made = await Promise.all([1, 2, 3].map(() => fresh.trivy.database(never())));
    assert.deepEqual(made, Array(3).fill('2026-01-01T00:00:00Z'));
    assert.equal(await fresh.trivy.database(never()), '2026-01-01T00:00:00Z');
    assert.equal((await readFile(log, 'utf8')).match(/--download-db-only/g)?.length, 1);
    const digest = await pushImage(registry, 'team/fresh', 'latest', { files });
    assert.deepEqual(
      (await scan(fresh, registry.host, 'team/fresh', digest)).map(({ id }) => id),
      ['CVE-2017-20162'],
    );
  });

  describe('for an image with Java archives', () => {
    const javaIndex = 'mirror/trivy-java-db';
    const javaFiles = { ...files, 'app/lib/some.jar': javaArchive };
    const logIn = async ({ artifacts }: TestScanner) => {
      await mkdir(artifacts.folder);
      return join(artifacts.folder, 'log');
    };
    /** What Trivy was started for, in order. */
    const runsIn = async (log: string) => (await readFile(log, 'utf8')).match(/--download-java-db-only|--skip-java-db-update/g);

    it('downloads their index once for all scans that want it, and only then', async () => {
      await pushDatabase(registry, javaIndex, 'javadb', emptyJavaIndex(new Date(Date.now() + 3_600_000)));
      const log = await logIn(await scannerWith());
      const scanner = await scannerWith({
        offline: false,
        javaDbRepository: `${registry.host}/${javaIndex}`,
        command: recordingCommand(log),
      });
      const plain = await pushImage(registry, 'team/plain', 'latest', { files });
      await scan(scanner, registry.host, 'team/plain', plain);
      assert.deepEqual(await runsIn(log), ['--skip-java-db-update']);
      const digest = await pushImage(registry, 'team/java', 'latest', { files: javaFiles });
      const found = await Promise.all([1, 2].map(() => scan(scanner, registry.host, 'team/java', digest)));
      assert.deepEqual(
        found.flat().map(({ id }) => id),
        ['CVE-2017-20162', 'CVE-2017-20162'],
      );
      assert.equal((await runsIn(log))?.filter((run) => run.startsWith('--download')).length, 1);
    });

    it('renews an index that is due', async () => {
      await pushDatabase(registry, javaIndex, 'javadb', emptyJavaIndex(new Date(Date.now() + 3_600_000)));
      const log = await logIn(await scannerWith());
      const scanner = await scannerWith({
        offline: false,
        javaDbRepository: `${registry.host}/${javaIndex}`,
        command: recordingCommand(log),
      });
      const folder = join(scanner.cacheDir, 'java-db');
      await mkdir(folder);
      for (const [name, content] of Object.entries(emptyJavaIndex(new Date(0)))) await writeFile(join(folder, name), content);
      const digest = await pushImage(registry, 'team/java', 'latest', { files: javaFiles });
      for (const claim of ['due', 'new'])
        assert.equal((await scan(scanner, registry.host, 'team/java', digest)).length, 1, claim);
      const [once, download, again, next, ...more] = (await runsIn(log)) ?? [];
      assert.deepEqual([download, more], ['--download-java-db-only', []]);
      assert.deepEqual([once, again, next], Array(3).fill('--skip-java-db-update'));
    });

    it('says where their index belongs when it may not download any', async () => {
      const digest = await pushImage(registry, 'team/java', 'latest', { files: javaFiles });
      const offline = await scannerWith();
      await assert.rejects(
        scan(offline, registry.host, 'team/java', digest),
        /has Java archives, .*java-db, .*put trivy-java\.db and metadata\.json there/,
      );
    });
  });

  it('is led by nothing that lies in a folder or in the environment, and sees no secret there', async () => {
    const log = join((await scannerWith()).cacheDir, 'log');
    const secrets = { GITHUB_TOKEN: 'a-secret', ANN_TOKEN_HASH: 'a-secret' };
    const scanner = await scannerWith({
      command: recordingCommand(log),
      env: { PATH: process.env.PATH, HTTP_PROXY: '', TRIVY_SEVERITY: 'CRITICAL', ...secrets },
    });
    await writeFile(join(scanner.cacheDir, '.trivyignore'), 'CVE-2017-20162\n');
    await writeFile(join(scanner.cacheDir, 'trivy.yaml'), 'severity: [CRITICAL]\n');
    const digest = await pushImage(registry, 'team/led', 'latest', { files });
    assert.equal((await scan(scanner, registry.host, 'team/led', digest)).length, 1);
    const recorded = await readFile(log, 'utf8');
    assert.doesNotMatch(recorded, /a-secret|TRIVY_SEVERITY/);
    assert.match(recorded, /^HTTP_PROXY=$/m);
    // As the shell that records it was started.
    assert.match(recorded, new RegExp(`^PWD=${scanner.cacheDir}$`, 'm'));
  });

  it('may take longer than the five minutes of its default', async () => {
    const log = join((await scannerWith()).cacheDir, 'log');
    const scanner = await scannerWith({
      database: false,
      offline: false,
      dbRepository: '127.0.0.1:9/x',
      command: recordingCommand(log),
    });
    await assert.rejects(scanner.trivy.database(never()));
    await assert.rejects(scan(scanner, '127.0.0.1:9', 'team/slow', someDigest));
    assert.equal((await readFile(log, 'utf8')).match(/^image .*--timeout 1h/gm)?.length, 2);
  });

  it('is found by a path from where Landfall runs', async () => {
    const here = process.cwd();
    // By a way that no other folder has.
    const scanner = await scannerWith({ command: [`../${basename(here)}/${relative(here, trivyProgram())}`] });
    const digest = await pushImage(registry, 'team/near', 'latest', { files });
    assert.equal((await scan(scanner, registry.host, 'team/near', digest)).length, 1);
  });

  it('says what to do where there is no database', async () => {
    const offline = await scannerWith({ database: false });
    await assert.rejects(
      offline.trivy.database(never()),
      /no vulnerability database in .*put trivy\.db and metadata\.json there/,
    );
    const unreachable = await scannerWith({ database: false, offline: false, dbRepository: '127.0.0.1:9/trivy-db' });
    await assert.rejects(unreachable.trivy.database(never()), (error) => {
      // No answer about an image: it is tried again.
      return (
        error instanceof Error &&
        !(error instanceof Refusal) &&
        /let this machine reach 127\.0\.0\.1:9\/trivy-db, name a mirror/.test(error.message)
      );
    });
  });

  it('says which file is not what Trivy writes', async () => {
    const { trivy, cacheDir } = await scannerWith();
    await writeFile(join(cacheDir, 'db', 'metadata.json'), '{}');
    await assert.rejects(trivy.database(never()), /metadata\.json is not what Trivy writes.*remove .*db/s);
  });

  it('scans with the database of a Trivy server', async () => {
    const { cacheDir } = await scannerWith();
    const port = await reservePort();
    const server: ChildProcess = spawn(
      trivyProgram(),
      ['server', '--listen', `127.0.0.1:${port}`, '--cache-dir', cacheDir, '--skip-db-update', '--quiet'],
      { stdio: 'ignore' },
    );
    try {
      const url = `http://127.0.0.1:${port}`;
      await eventually('the Trivy server', () =>
        fetch(`${url}/healthz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      );
      const client = await scannerWith({ database: false, server: url });
      assert.equal(await client.trivy.database(never()), '2026-01-01T00:00:00Z');
      const digest = await pushImage(registry, 'team/served', 'latest', { files });
      assert.deepEqual(
        (await scan(client, registry.host, 'team/served', digest)).map(({ id }) => id),
        ['CVE-2017-20162'],
      );
    } finally {
      const ended = once(server, 'exit');
      server.kill('SIGKILL');
      await ended;
    }
  });

  it('gives the registry its credentials, which neither arguments nor environment show', async () => {
    const locked = await startRegistry({ basicAuth: true });
    try {
      const { user: username, password } = registryAccount;
      const digest = await pushImage(locked, 'team/locked', 'latest', { files });
      const { artifacts } = await scannerWith();
      await mkdir(artifacts.folder);
      const log = join(artifacts.folder, 'log');
      const known = await scannerWith({ command: recordingCommand(log), credentials: async () => ({ username, password }) });
      assert.equal((await scan(known, locked.host, 'team/locked', digest)).length, 1);
      assert.match(await readFile(log, 'utf8'), new RegExp(`TRIVY_USERNAME=${username}`));
      assert.doesNotMatch(await readFile(log, 'utf8'), new RegExp(password));
      const wrong = await scannerWith({ credentials: async () => ({ username, password: 'a wrong one' }) });
      const token = await scannerWith({ credentials: async () => ({ username: identityTokenUser, password: 'a token' }) });
      for (const stranger of [wrong, token, await scannerWith()]) {
        await assert.rejects(scan(stranger, locked.host, 'team/locked', digest), {
          name: 'CredentialsRefused',
          message: /does not let Trivy read .*check the credentials under registries/,
        });
      }
    } finally {
      await locked.stop();
    }
  });

  it('refuses a user name that it could not hand over unchanged', async () => {
    const odd = await scannerWith({ credentials: async () => ({ username: 'a,b', password: 'c' }) });
    await assert.rejects(scan(odd, registry.host, 'team/app', someDigest), { name: 'CredentialsRefused', message: /comma/ });
  });

  const answers: readonly (readonly [number, string, (error: unknown) => boolean])[] = [
    [403, 'is refused for good', (error) => error instanceof Refusal && error.type === 'CredentialsRefused'],
    [429, 'waits', (error) => error instanceof RateLimit && error.until.getTime() > Date.now()],
    [
      500,
      'is tried again, although Trivy then comes without credentials and is told 401',
      (error) => !(error instanceof Refusal),
    ],
  ];
  for (const [status, claim, isRight] of answers) {
    it(`whose registry answers ${status} ${claim}`, async () => {
      const password = 'p, a"ß \\ w';
      const server = await startHttpServer((request, response) => {
        response.writeHead(request.headers.authorization ? status : 401, { 'www-authenticate': 'Basic realm="test"' }).end();
      });
      try {
        const known = await scannerWith({ credentials: async () => ({ username: 'robot$landfall+a', password }) });
        await assert.rejects(scan(known, server.host, 'team/app', someDigest), (error) => {
          return error instanceof Error && error.message.length < 900 && !error.message.includes(password) && isRight(error);
        });
        const sent = server.requests.map(({ headers }) => headers.authorization).find((header) => header !== undefined);
        assert.equal(sent, `Basic ${Buffer.from(`robot$landfall+a:${password}`).toString('base64')}`);
      } finally {
        await server.stop();
      }
    });
  }

  describe('that an image makes hungry', () => {
    /** What Trivy would do with such an image; what comes after is Trivy's own arguments. */
    const doing = (script: string): readonly string[] => ['/bin/sh', '-c', script];
    const refusal = async (options: Parameters<typeof scannerWith>[0]) => {
      const error = await scan(await scannerWith(options), registry.host, 'team/app', someDigest).then(
        () => assert.fail('it was scanned'),
        (thrown: unknown) => thrown,
      );
      if (!(error instanceof Refusal)) throw error;
      assert.equal(error.type, 'ScanFailed');
      return error.message;
    };

    it('gets no more memory than it may have', async () => {
      const all = 'head -c 300000000 /dev/zero | tail -c 299999999 > /dev/null';
      const hungry = /with at most 64 MiB of memory, but it needs more: make the image smaller, or raise trivy\.memory/;
      assert.match(await refusal({ command: doing(`${all} || exit 1`), memory: 64 * 1024 ** 2 }), hungry);
      assert.match(await refusal({ memory: 64 * 1024 ** 2 }), hungry);
    });

    it('unpacks no more to the disk than it may, in one file or in many', async () => {
      const file = (name: string, megabytes: number) => `dd if=/dev/zero of="$TMPDIR/${name}" bs=1M count=${megabytes} 2>&1 >&2`;
      const disk = 8 * 1024 ** 2;
      const hungry = /with at most 8 MiB of disk, but it needs more: make the image smaller, or raise trivy\.disk/;
      assert.match(await refusal({ command: doing(`exec ${file('one', 20)}`), disk }), hungry);
      assert.match(await refusal({ command: doing(`${file('one', 6)}; ${file('two', 6)}; exec sleep 60`), disk }), hungry);
    });
  });

  it('says so where it cannot be started', async () => {
    const { artifacts } = await scannerWith();
    await mkdir(artifacts.folder);
    const file = join(artifacts.folder, 'not-a-program');
    await writeFile(file, '');
    await chmod(file, 0o644);
    for (const program of ['/nonexistent/trivy', file]) {
      const without = await scannerWith({ command: [program] });
      await assert.rejects(
        scan(without, registry.host, 'team/app', someDigest),
        /Trivy cannot be started as .*install Trivy, or name it in TRIVY/,
      );
    }
  });
});

describe('how Trivy is started', () => {
  it('is as configured, else the program that was found, else its image', () => {
    assert.deepEqual(trivyCommand({ configured: ' nice  trivy ', found: '/bin/trivy' }), ['nice', 'trivy']);
    assert.deepEqual(trivyCommand({ configured: '', found: '/bin/trivy' }), ['/bin/trivy']);
    const image = trivyCommand({});
    assert.ok('image' in image && image.image.startsWith('aquasec/trivy:'));
  });

  it('as an image sees its folders at the same paths, writes as our user, and is told no secret by argument', () => {
    const words = trivyArguments({ image: 'aquasec/trivy:1' }, ['/cache', '/work', '/cache'], '1000:1000', 1024).join(' ');
    assert.match(
      words,
      /^docker run --rm --interactive .*--user 1000:1000 --volume \/cache:\/cache --volume \/work:\/work --env/,
    );
    assert.match(words, /--env TRIVY_USERNAME .* aquasec\/trivy:1$/);
    assert.doesNotMatch(trivyArguments({ image: 'x' }, [], undefined, 1024).join(' '), /--user/);
    assert.deepEqual(trivyArguments(['/bin/trivy'], ['/cache'], '1:1', 1024), ['/bin/trivy']);
  });
});

describe('a report of Trivy', () => {
  const report = (results: unknown) => JSON.stringify({ SchemaVersion: 2, Results: results });

  it('of an image without packages has no findings', () => {
    assert.deepEqual(parseReport(report(undefined), 'linux/amd64').findings, []);
    assert.deepEqual(parseReport(report(null), 'linux/amd64').findings, []);
    assert.deepEqual(parseReport(report([{ Target: 'x' }]), 'linux/amd64').findings, []);
  });

  it('keeps a finding whose severity is a new word, and cuts long names', () => {
    const found = { VulnerabilityID: 'CVE-1', PkgName: 'p'.repeat(500), InstalledVersion: '', Severity: 'APOCALYPTIC' };
    const [finding] = parseReport(report([{ Target: 'x', Vulnerabilities: [found] }]), 'linux/amd64').findings;
    assert.equal(finding?.severity, 'unknown');
    assert.equal(finding?.where.length, 120);
    assert.ok(finding && !('installed' in finding) && !('fixed' in finding));
  });

  it('of another form is refused, and says what was expected', () => {
    assert.throws(() => parseReport('{"SchemaVersion": 3}', 'linux/amd64'), /expected a Trivy report of schema version 2/);
    assert.throws(() => parseReport(report([{ Vulnerabilities: [] }]), 'linux/amd64'), /Target/);
  });
});

describe('an artifact', () => {
  it('is there as a whole or not at all, and a work folder never stays', async () => {
    const scanner = await createScanner();
    try {
      const artifacts = new Artifacts(join(scanner.artifacts.folder, 'deep', 'er'));
      assert.equal(await artifacts.readText(someDigest, 'a.json'), undefined);
      assert.equal(await artifacts.keepText(someDigest, 'a.json', 'one'), `sha256/${'a'.repeat(64)}/a.json`);
      const failed = artifacts.withWorkFolder(async (folder) => {
        await writeFile(join(folder, 'a.json'), 'half');
        throw new Error('killed');
      });
      await assert.rejects(failed, /killed/);
      assert.equal(await artifacts.readText(someDigest, 'a.json'), 'one');
      await Promise.all(['two', 'three'].map((text) => artifacts.keepText(someDigest, 'a.json', text)));
      assert.match((await artifacts.readText(someDigest, 'a.json')) ?? '', /^(two|three)$/);
    } finally {
      await scanner.remove();
    }
  });
});
