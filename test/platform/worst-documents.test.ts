// Runs on a core of its own: each of its documents has 200 ms of the processor, which a busy machine stretches.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findLatest, followedOf } from '../../src/activities/followed-tags.ts';
import { CheckRefused } from '../../src/checks/check.ts';
import { judgeFindings } from '../../src/checks/scan/policy.ts';
import { mostFindings, readReport } from '../../src/checks/scan/read-report.ts';
import { definitionIn } from '../../src/deploys/compose/project.ts';
import { Refusal } from '../../src/domain/failures.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import { excessOf } from '../../src/domain/json.ts';
import type { TagPolicy } from '../../src/domain/tag-policy.ts';
import { askHttp } from '../../src/probes/http.ts';
import { type HttpServer, startHttpServer } from '../support/http-server.ts';
import { sha256 } from '../support/images.ts';
import { assertWithin, longestPause } from '../support/processor-time.ts';
import { registryClient, repositoryAt, tagOf } from '../support/registry-client.ts';

const longestPauseMs = 200;
const mebibyte = 1024 * 1024;
const digest = `sha256:${'0a'.repeat(32)}`;
const descriptor = `{"mediaType":"a","digest":"${digest}","size":1}`;
const linux = '"os":"linux","architecture":"amd64"';

const list = (item: string, bytes: number) =>
  Array<string>(Math.floor(bytes / (item.length + 1)))
    .fill(item)
    .join(',');
const members = (value: string, bytes: number, name = 'key') =>
  Array.from({ length: Math.floor(bytes / (name.length + value.length + 11)) }, (_, at) => `"${name}${at}":${value}`).join(',');

/** JSON of nearly as many bytes, as somebody writes it who wants whoever reads it to be busy. `KEY` is a list that the reader looks into. */
function worstJson(bytes: number, key: string, around: string): Record<string, string> {
  const inList = (item: string) => `{${around},"${key}":[${list(item, bytes)}]}`;
  return {
    'many empty objects': inList('{}'),
    'many numbers': inList('1'),
    'many lists': inList('[]'),
    'many nulls': inList('null'),
    'many texts': inList('""'),
    'many descriptors': inList(descriptor),
    'many platforms': inList(`{"platform":{${linux},"os.features":[1]}}`),
    'many members': `{${around},${members('1', bytes)}}`,
    'many members with escapes': `{${around},${members('1', bytes, '\\u0041')}}`,
    'many annotations': `{${around},"annotations":{${members('""', bytes)}},"config":${descriptor},"layers":[]}`,
    'many labels': `{${around},"config":{"Labels":{${members('"1"', bytes)}}}}`,
    'many labels that are none': `{${around},"config":{"Labels":{${members('1', bytes)}}}}`,
    'lists in lists': `${'['.repeat(bytes / 2)}${']'.repeat(bytes / 2)}`,
    'lists without end': '['.repeat(bytes),
    'objects in objects': `${'{"a":'.repeat(bytes / 6)}1${'}'.repeat(bytes / 6)}`,
    'one text': `{${around},"a":"${'a'.repeat(bytes - 1_000)}"}`,
    'escapes in a text': `{${around},"a":"${'\\u0041'.repeat((bytes - 1_000) / 6)}"}`,
    'a text without end': `{${around},"a":"${'\\\\'.repeat((bytes - 1_000) / 2)}`,
    'one number': `{${around},"a":${'1'.repeat(bytes - 1_000)}}`,
    'no JSON': ' '.repeat(bytes),
  };
}

/** Whatever comes out of it, but for a fault of ours. */
async function done(act: () => unknown): Promise<void> {
  try {
    await act();
  } catch (error) {
    assert.ok(error instanceof Error && !['TypeError', 'RangeError', 'ReferenceError'].includes(error.name), String(error));
  }
}

async function isQuick(what: string, act: () => unknown): Promise<void> {
  const pause = await longestPause(() => done(act));
  assertWithin(longestPauseMs, pause, `${what} kept the event loop`);
}

describe('a document as large as it may be', function () {
  this.timeout(120_000);

  describe('of a registry', () => {
    let document: Buffer;
    let registry: HttpServer;
    before(async () => {
      registry = await startHttpServer((request, response) =>
        response.writeHead(200, request.method === 'HEAD' ? { 'docker-content-digest': digest } : {}).end(document),
      );
    });
    after(() => registry.stop());

    it('does not hold up the event loop as a manifest, with its right digest or without', async () => {
      for (const key of ['manifests', 'layers']) {
        for (const [what, text] of Object.entries(worstJson(4 * mebibyte - 2_000, key, '"schemaVersion":2'))) {
          document = Buffer.from(text);
          await isQuick(`${key}: ${what}`, () => registryClient().manifest(repositoryAt(registry), tagOf('latest')));
          await isQuick(`${key}, by digest: ${what}`, () => registryClient().manifest(repositoryAt(registry), sha256(text)));
        }
      }
    });

    it('does not hold up the event loop as the configuration of an image', async () => {
      for (const [what, text] of Object.entries(worstJson(8 * mebibyte - 2_000, 'history', linux))) {
        document = Buffer.from(text);
        await isQuick(what, () => registryClient().config(repositoryAt(registry), sha256(text)));
      }
    });

    it('does not hold up the event loop as a list of tags', async () => {
      for (const [what, text] of Object.entries(worstJson(8 * mebibyte - 2_000, 'tags', '"name":"team/app"'))) {
        document = Buffer.from(text);
        await isQuick(what, () => registryClient().tags(repositoryAt(registry)));
      }
    });

    it('has 100,000 tags, of which the latest is found without holding up the event loop', async () => {
      const tags = Array.from({ length: 100_000 }, (_, at) => `v1.${at}.0` as Tag);
      document = Buffer.from(JSON.stringify({ name: 'team/app', tags }));
      let found: readonly Tag[] = [];
      await isQuick('the list', async () => {
        found = await registryClient().tags(repositoryAt(registry));
      });
      assert.equal(found.length, tags.length);
      const query = { registry: registryClient(), repository: repositoryAt(registry) };
      const policies: readonly TagPolicy[] = [
        { kind: 'semver', range: '>=1' },
        { kind: 'pattern', pattern: '^v1\\.(\\d+)\\.0$', order: 'numerical' },
      ];
      for (const policy of policies) {
        let latest: readonly { readonly tag: Tag }[] = [];
        await isQuick(`the latest by ${policy.kind}`, async () => {
          const followed = await followedOf(policy, found);
          latest = await findLatest({ ...query, missing: new Set(), broken: new Map() }, policy, followed);
        });
        assert.deepEqual(
          latest.map(({ tag }) => tag),
          [tags.at(-1)],
        );
      }
    });

    it('says how much an image may have, and refuses it for good', async () => {
      document = Buffer.from(`{"schemaVersion":2,"manifests":[${list('{}', mebibyte)}]}`);
      const ask = registryClient().manifest(repositoryAt(registry), sha256(document.toString()));
      await assert.rejects(ask, (error) => {
        assert.ok(error instanceof Refusal && error.type === 'NotAnImage', String(error));
        assert.match(error.message, /is expected to have at most 20000 items and members; push a simpler one/);
        return true;
      });
    });
  });

  describe("of Trivy's", () => {
    let folder: string;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'landfall-reports-'));
    });
    after(() => rm(folder, { recursive: true }));

    const vulnerability = {
      VulnerabilityID: 'CVE-2026-1234',
      InstalledVersion: '1.2.3',
      FixedVersion: '1.2.4',
      Title: 'something is wrong with it',
      Severity: 'HIGH',
      // Nobody looks at it, and it is most of what a report is.
      Description: 'It is wrong with it in many ways. '.repeat(20),
    };
    async function reportOf(count: number): Promise<string> {
      const found = Array.from({ length: count }, (_, at) => ({ ...vulnerability, PkgName: `package-${at}` }));
      const file = join(folder, `${count}.json`);
      const Results = [
        { Target: 'debian', Vulnerabilities: found },
        { Target: 'app.jar', Type: 'jar' },
      ];
      await writeFile(file, JSON.stringify({ SchemaVersion: 2, Results }));
      return file;
    }

    it('does not hold up the event loop while it is read and judged, and all of it counts', async () => {
      for (const count of [10, 3_000, mostFindings]) {
        const file = await reportOf(count);
        await isQuick(`${count} findings`, async () => {
          const report = await readReport(file, 'linux/amd64');
          assert.deepEqual([report?.count, report?.findings.length, report?.hasJavaArchives], [count, count, true]);
        });
        const { findings = [] } = (await readReport(file, 'linux/amd64')) ?? {};
        await isQuick(`the judgement of ${count} findings`, () => {
          const plan = { failOn: 'critical', ignoreUnfixed: false, ignore: [] } as const;
          assert.equal(judgeFindings(findings, { ...plan, ignore: [] }, new Date()).counts.high, count);
        });
      }
    });

    it('is refused with more findings than can be judged, and is an error where it is no report', async () => {
      await assert.rejects(readReport(await reportOf(mostFindings + 1), 'linux/amd64'), (error) => {
        assert.ok(error instanceof CheckRefused && error.type === 'ScanRejected', String(error));
        assert.match(error.message, /50001 findings: see what is in the image/);
        return true;
      });
      for (const length of [10, 300_000]) {
        const file = join(folder, 'none.json');
        await writeFile(file, '['.repeat(length));
        await assert.rejects(readReport(file, 'linux/amd64'), (error) => error instanceof Error && !(error instanceof Refusal));
      }
      assert.equal(await readReport(join(folder, 'nowhere.json'), 'linux/amd64'), undefined);
    });
  });

  it('does not hold up the event loop as what Compose makes of its files', async () => {
    const bytes = 4 * mebibyte - 2_000;
    const documents = {
      ...worstJson(bytes, 'services', '"name":"app"'),
      services: `{"name":"app","services":{${members('{"image":"a:1","environment":{"A":"1"},"ports":[{"target":80}]}', bytes)}}}`,
      environment: `{"name":"app","services":{"web":{"image":"a:1","environment":{${members('"1"', bytes)}}}}}`,
      volumes: `{"name":"app","services":{"web":{"image":"a:1","volumes":[${list('{"type":"bind","source":"/a","target":"/b"}', bytes)}]}}}`,
    };
    for (const [what, text] of Object.entries(documents)) {
      await isQuick(what, () => definitionIn(text));
    }
  });

  it('does not hold up the event loop as the answer to a probe, whatever its pattern', async () => {
    let body = '';
    const server = await startHttpServer((_, response) => response.end(body));
    const bodies = ['a', 'ab', ' ', '<p class="x">ok</p>\n', '\u00e4'].map((unit) =>
      unit.repeat(mebibyte / Buffer.byteLength(unit)),
    );
    const patterns = ['(?:a?){50}a{50}b', '(.*)(\\w+\\s?)+!', '(?i)healthy'];
    try {
      for (body of bodies) {
        for (const pattern of patterns) {
          const probe = {
            kind: 'http',
            url: `http://${server.host}/`,
            headers: {},
            status: [],
            timeoutMs: 30_000,
            body: pattern,
          } as const;
          const context = { baseDir: '/', secrets: (value: string) => value, signal: new AbortController().signal };
          await isQuick(`${JSON.stringify(body.slice(0, 20))} and ${pattern}`, () => askHttp({ ...probe, status: [] }, context));
        }
      }
    } finally {
      await server.stop();
    }
  });

  it('is measured in a time by its length', async () => {
    for (const [what, text] of Object.entries(worstJson(8 * mebibyte, 'list', '"a":1'))) {
      const bytes = Buffer.from(text);
      await isQuick(what, () => excessOf(bytes, { levels: 1e9, items: 1e9 }));
    }
  });
});
