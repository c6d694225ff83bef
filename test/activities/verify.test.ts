import assert from 'node:assert/strict';
import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createVerify } from '../../src/activities/verify.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import { failureOf, runActivity } from '../support/activity.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import { startHttpServer } from '../support/http-server.ts';
import {
  deleteManifest,
  hostPlatform,
  pushArtifact,
  pushChart,
  pushImage,
  pushIndex,
  pushManifest,
  pushSignature,
  sha256,
} from '../support/images.ts';
import { planOf } from '../support/plans.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../support/registry-client.ts';

const { verify, confirm } = createVerify({ registry: registryClient() });

/** What a rollout of `HOST/NAME:TAG@DIGEST` asks. */
function inputOf(at: { readonly host: string }, name: string, digest: Digest, tag = 'latest', platforms: readonly string[] = []) {
  const repository = repositoryAt(at, name);
  return { plan: planOf({ repository, platforms }), image: { repository, tag: tagOf(tag), digest } };
}

describe('verify', () => {
  let registry: Registry;
  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry.stop());

  it('passes the image that the tag points to, with its labels, platforms, size and creation time', async () => {
    const labels = { 'org.opencontainers.image.revision': 'abc', 'org.opencontainers.image.source': 'https://git.example/app' };
    const digest = await pushImage(registry, 'team/app', 'latest', { labels, created: '2026-02-03T04:05:06.789Z' });
    const input = inputOf(registry, 'team/app', digest);
    const outcome = await runActivity(verify, input);
    assert.equal(outcome.kind, 'verified');
    const { size, mediaType, platforms, ...image } = outcome.image;
    assert.deepEqual(
      platforms.map(({ platform, digest }) => [platform, digest]),
      [[hostPlatform(), digest]],
    );
    assert.deepEqual(image, {
      ...input.image,
      created: '2026-02-03T04:05:06.789Z',
      revision: 'abc',
      source: 'https://git.example/app',
    });
    assert.equal(mediaType, 'application/vnd.oci.image.manifest.v1+json');
    assert.ok(size > 100 && size < 10_000, `size ${size}`);
  });

  it('goes on with the index where the push named one of its children', async () => {
    const images = [{ platform: 'linux/amd64' }, { platform: 'linux/arm64' }];
    const { digest, children } = await pushIndex(registry, 'team/multi', 'latest', images);
    for (const child of [digest, ...children]) {
      const outcome = await runActivity(verify, inputOf(registry, 'team/multi', child));
      assert.ok(outcome.kind === 'verified');
      assert.equal(outcome.image.digest, digest);
    }
  });

  it('says where the tag has moved to', async () => {
    const old = await pushImage(registry, 'team/moved', 'latest', { labels: { version: '1' } });
    const current = await pushImage(registry, 'team/moved', 'latest', { labels: { version: '2' } });
    assert.deepEqual(await runActivity(verify, inputOf(registry, 'team/moved', old)), { kind: 'moved', digest: current });
  });

  it('takes a digest that an operator named, wherever its tag points to, and says where that is', async () => {
    const old = await pushImage(registry, 'team/named', 'latest', { labels: { version: '1' } });
    const current = await pushImage(registry, 'team/named', 'latest', { labels: { version: '2' } });
    for (const [digest, tag, tagIs] of [
      [old, 'latest', current],
      [current, 'latest', undefined],
      [old, 'gone', undefined],
    ] as const) {
      const outcome = await runActivity(verify, { ...inputOf(registry, 'team/named', digest, tag), named: true });
      assert.ok(outcome.kind === 'verified', JSON.stringify(outcome));
      assert.deepEqual([outcome.image.digest, outcome.image.tag, outcome.tagIs], [digest, tag, tagIs]);
    }
    const unknown = { ...inputOf(registry, 'team/named', sha256('never pushed')), named: true };
    const failure = await failureOf(runActivity(verify, unknown));
    assert.match(failure.message, /team\/named:latest@sha256:/, 'it is the digest that is missing, and not the tag');
  });

  it('looks again in five seconds for what is not found, and gives up after two minutes', async () => {
    const input = inputOf(registry, 'team/nowhere', sha256('x'));
    for (const [waitedMs, isFinal] of [
      [0, false],
      [119_000, false],
      [121_000, true],
    ] as const) {
      const failure = await failureOf(runActivity(verify, input, { scheduledTimestampMs: Date.now() - waitedMs }));
      assert.equal(failure.type, 'NotInRegistry');
      assert.equal(failure.nonRetryable, isFinal, `after ${waitedMs} ms`);
      assert.equal(failure.nextRetryDelay, isFinal ? undefined : '5 seconds');
      assert.match(failure.message, /team\/nowhere:latest is not in the registry/);
    }
  });

  it('looks again for an image whose platforms have not arrived yet', async () => {
    const { digest, children } = await pushIndex(registry, 'team/partly', 'latest', [
      { platform: 'linux/amd64' },
      { platform: 'linux/arm64' },
    ]);
    await deleteManifest(registry, 'team/partly', children[1] ?? digest);
    const failure = await failureOf(runActivity(verify, inputOf(registry, 'team/partly', digest)));
    assert.equal(failure.type, 'NotInRegistry');
    assert.equal(failure.nonRetryable, false);
    assert.ok(failure.message.includes(`@${children[1]}`), failure.message);
  });

  it('passes an image of which only the wanted platforms were copied', async () => {
    const images = [{ platform: 'linux/amd64' }, { platform: 'linux/arm64' }];
    const { digest, children } = await pushIndex(registry, 'team/sparse', 'latest', images);
    await deleteManifest(registry, 'team/sparse', children[1] ?? digest);
    const outcome = await runActivity(verify, inputOf(registry, 'team/sparse', digest, 'latest', ['linux/amd64']));
    assert.ok(outcome.kind === 'verified');
    assert.deepEqual(
      outcome.image.platforms.map(({ digest }) => digest),
      [children[0]],
    );
  });

  it('refuses an image without a wanted platform, and names what is there', async () => {
    const { digest } = await pushIndex(registry, 'team/platforms', 'latest', [
      { platform: 'linux/amd64' },
      { platform: 'linux/arm64/v8' },
      { platform: 'linux/arm/v6' },
    ]);
    const wanting = (...platforms: string[]) =>
      runActivity(verify, inputOf(registry, 'team/platforms', digest, 'latest', platforms));
    assert.equal((await wanting('linux/amd64', 'linux/arm64', 'linux/arm64/v8', 'linux/arm/v6')).kind, 'verified');
    const failure = await failureOf(wanting('linux/amd64', 'linux/s390x', 'linux/arm/v7'));
    assert.equal(failure.type, 'PlatformMissing');
    assert.equal(failure.nonRetryable, true);
    assert.match(
      failure.message,
      /is not built for linux\/s390x, linux\/arm\/v7, .*it has linux\/amd64, linux\/arm64, linux\/arm\/v6\./,
    );
    assert.deepEqual(failure.details, [
      { missing: ['linux/s390x', 'linux/arm/v7'], there: ['linux/amd64', 'linux/arm64', 'linux/arm/v6'] },
    ]);
  });

  it('refuses a single image of another platform', async () => {
    const digest = await pushImage(registry, 'team/other', 'latest', { platform: 'linux/riscv64' });
    const failure = await failureOf(runActivity(verify, inputOf(registry, 'team/other', digest, 'latest', ['linux/amd64'])));
    assert.equal(failure.type, 'PlatformMissing');
    assert.match(failure.message, /it has linux\/riscv64\./);
  });

  const artifacts: readonly [name: string, push: (name: string) => Promise<Digest>, said: RegExp, tag?: string][] = [
    ['a Helm chart', (name) => pushChart(registry, name, 'latest'), /is a Helm chart \(application\/vnd\.cncf\.helm/],
    [
      'a cosign signature',
      (name) => pushSignature(registry, name, sha256('image')),
      /is a cosign signature/,
      `${sha256('image').replace(':', '-')}.sig`,
    ],
    [
      'an SBOM with an artifact type',
      (name) =>
        pushArtifact(registry, name, 'latest', {
          artifactType: 'application/spdx+json',
          layers: [['application/octet-stream', '{}']],
        }),
      /is an SBOM \(application\/spdx\+json\)/,
    ],
    [
      'an in-toto attestation',
      (name) =>
        pushArtifact(registry, name, 'latest', {
          config: ['application/vnd.oci.image.config.v1+json', '{}'],
          layers: [['application/vnd.in-toto+json', '{}']],
        }),
      /is an in-toto attestation/,
    ],
    [
      'a WebAssembly module',
      (name) =>
        pushArtifact(registry, name, 'latest', {
          config: ['application/vnd.wasm.config.v0+json', '{}'],
          layers: [['application/wasm', '']],
        }),
      /is a WebAssembly module/,
    ],
    [
      'an artifact without any type',
      (name) => pushArtifact(registry, name, 'latest', { layers: [['text/plain', 'hello']] }),
      /is an artifact of type text\/plain/,
    ],
    [
      'an index without an image',
      (name) =>
        pushManifest(registry, name, 'latest', {
          schemaVersion: 2,
          mediaType: 'application/vnd.oci.image.index.v1+json',
          manifests: [],
        }),
      /is an index without a container image; it lists nothing/,
    ],
  ];
  for (const [index, [name, push, said, tag]] of artifacts.entries()) {
    it(`refuses ${name} as no image, and says what it is`, async () => {
      const digest = await push(`artifacts/a${index}`);
      const failure = await failureOf(runActivity(verify, inputOf(registry, `artifacts/a${index}`, digest, tag)));
      assert.equal(failure.type, 'NotAnImage');
      assert.equal(failure.nonRetryable, true);
      assert.match(failure.message, said);
    });
  }

  it('refuses an image of Docker schema 1, and says how to convert it', async () => {
    const bytes = JSON.stringify({
      schemaVersion: 1,
      name: 'team/old',
      tag: 'latest',
      architecture: 'amd64',
      fsLayers: [],
      history: [],
    });
    const server = await startHttpServer((_, response) => response.end(bytes));
    try {
      const failure = await failureOf(runActivity(verify, inputOf(server, 'team/old', sha256(bytes))));
      assert.equal(failure.type, 'NotAnImage');
      assert.match(failure.message, /Docker schema 1 manifest.*skopeo copy/);
    } finally {
      await server.stop();
    }
  });

  it('refuses what would fill the history: an endless platform or media type, or an index without end', async () => {
    const image = { digest: sha256('image'), size: 1, mediaType: 'application/vnd.oci.image.manifest.v1+json' };
    const platform = { os: 'linux', architecture: 'amd64' };
    const indexOf = (manifests: readonly object[], mediaType = 'application/vnd.oci.image.index.v1+json') =>
      JSON.stringify({ schemaVersion: 2, mediaType, manifests });
    const children = Array.from({ length: 65 }, (_, child) => ({ ...image, digest: sha256(`image ${child}`), platform }));
    const hostile: readonly (readonly [string, RegExp])[] = [
      [indexOf([{ ...image, platform: { ...platform, os: 'x'.repeat(33) } }]), /platform\.os: expected at most 32 letters/],
      [indexOf([{ ...image, platform: { ...platform, variant: 'a/b' } }]), /platform\.variant: expected at most 32 letters/],
      [indexOf([image], 'x'.repeat(129)), /mediaType: expected a media type of at most 128 characters/],
      [indexOf(children), /is an index of 65 images, expected at most 64/],
    ];
    for (const [bytes, said] of hostile) {
      const server = await startHttpServer((_, response) => response.end(bytes));
      try {
        const failure = await failureOf(runActivity(verify, inputOf(server, 'team/hostile', sha256(bytes))));
        assert.equal(failure.type, 'NotAnImage');
        assert.match(failure.message, said);
        assert.equal(server.requests.length, 1);
      } finally {
        await server.stop();
      }
    }
  });

  it('leaves out labels that nobody would read and a creation time that is none', async () => {
    const labels = { 'org.opencontainers.image.revision': 'a'.repeat(513), 'org.opencontainers.image.source': '' };
    const digest = await pushImage(registry, 'team/odd', 'latest', { labels, created: 'x'.repeat(10_000) });
    const outcome = await runActivity(verify, inputOf(registry, 'team/odd', digest));
    assert.ok(outcome.kind === 'verified');
    const { revision, source, created } = outcome.image;
    assert.deepEqual({ revision, source, created }, { revision: undefined, source: undefined, created: undefined });
  });

  it('is answered with a time to wait for where the registry limits us', async () => {
    const digest = await pushImage(registry, 'team/limited', 'latest');
    const limit = { kind: 'status', status: 429, headers: { 'retry-after': '30' } } as const;
    const proxy = await startFaultyProxy(registry.url, { faults: [limit] });
    try {
      const before = Date.now();
      const outcome = await runActivity(verify, inputOf(proxy, 'team/limited', digest));
      assert.ok(outcome.kind === 'rate-limited');
      const waitMs = Date.parse(outcome.until) - before;
      assert.ok(waitMs >= 30_000 && waitMs < 35_000, `${waitMs} ms`);
      assert.equal((await runActivity(verify, inputOf(proxy, 'team/limited', digest))).kind, 'verified');
    } finally {
      await proxy.stop();
    }
  });

  it('is tried again while a page about maintenance answers instead of the registry, however long that is', async () => {
    const digest = await pushImage(registry, 'team/maintained', 'latest');
    const page = { kind: 'status', status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' } as const;
    const proxy = await startFaultyProxy(registry.url, { faults: [page, { ...page, status: 404 }] });
    try {
      const longAgo = { scheduledTimestampMs: Date.now() - 3_600_000 };
      for (const _ of ['with 200', 'with 404']) {
        // Temporal tries again whatever is not said to be final.
        const error = await runActivity(verify, inputOf(proxy, 'team/maintained', digest), longAgo).catch((thrown) => thrown);
        assert.ok(error instanceof Error && !(error instanceof ApplicationFailure), String(error));
      }
      assert.equal((await runActivity(verify, inputOf(proxy, 'team/maintained', digest))).kind, 'verified');
    } finally {
      await proxy.stop();
    }
  });

  it('asks again for bytes that do not have their digest, and says no only after two minutes', async () => {
    const server = await startHttpServer((_, response) => {
      response.setHeader('docker-content-digest', sha256('another')).end('{"schemaVersion":2}');
    });
    try {
      const asked = inputOf(server, 'team/halfway', sha256('x'));
      for (const [waitedMs, isFinal] of [
        [0, false],
        [121_000, true],
      ] as const) {
        const failure = await failureOf(runActivity(verify, asked, { scheduledTimestampMs: Date.now() - waitedMs }));
        assert.deepEqual([failure.type, failure.nonRetryable], ['DigestMismatch', isFinal]);
      }
    } finally {
      await server.stop();
    }
  });

  it('is left at once, while the registry does not answer, when it is cancelled', async () => {
    const proxy = await startFaultyProxy(registry.url, { faults: [{ kind: 'hang' }] });
    try {
      const environment = new MockActivityEnvironment();
      const running = environment.run(verify, inputOf(proxy, 'team/app', sha256('x')));
      environment.cancel();
      await assert.rejects(running, CancelledFailure);
    } finally {
      await proxy.stop();
    }
  });
});

describe('confirm', () => {
  let registry: Registry;
  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry.stop());

  it('says whether the tag still points to the digest: with one request and no body where it does, by the content where not', async () => {
    const old = await pushImage(registry, 'team/app', 'latest', { labels: { version: '1' } });
    const proxy = await startFaultyProxy(registry.url);
    try {
      assert.deepEqual(await runActivity(confirm, inputOf(proxy, 'team/app', old)), { kind: 'confirmed' });
      const current = await pushImage(registry, 'team/app', 'latest', { labels: { version: '2' } });
      assert.deepEqual(await runActivity(confirm, inputOf(proxy, 'team/app', old)), { kind: 'moved', digest: current });
      assert.deepEqual(
        proxy.requests.map(({ method, path }) => `${method} ${path}`),
        ['HEAD', 'HEAD', 'GET'].map((method) => `${method} /v2/team/app/manifests/latest`),
      );
    } finally {
      await proxy.stop();
    }
  });

  it('goes by the content where the registry names another digest for HEAD', async () => {
    const { digest, children } = await pushIndex(registry, 'team/head', 'latest', [{ platform: 'linux/amd64' }]);
    const lie = { kind: 'status', status: 200, headers: { 'docker-content-digest': children[0] ?? '' } } as const;
    const proxy = await startFaultyProxy(registry.url, { faults: [lie, lie], applies: ({ method }) => method === 'HEAD' });
    try {
      assert.deepEqual(await runActivity(confirm, inputOf(proxy, 'team/head', digest)), { kind: 'confirmed' });
      const old = inputOf(proxy, 'team/head', sha256('old'));
      assert.deepEqual(await runActivity(confirm, old), { kind: 'moved', digest });
      assert.equal(proxy.remaining(), 0);
    } finally {
      await proxy.stop();
    }
  });

  it('looks again for a tag that is gone, and then gives up', async () => {
    const input = inputOf(registry, 'team/gone', sha256('x'));
    assert.equal((await failureOf(runActivity(confirm, input))).nonRetryable, false);
    const failure = await failureOf(runActivity(confirm, input, { scheduledTimestampMs: Date.now() - 121_000 }));
    assert.equal(failure.type, 'NotInRegistry');
    assert.equal(failure.nonRetryable, true);
  });
});
