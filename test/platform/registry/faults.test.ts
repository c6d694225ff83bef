import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { RateLimit, Refusal } from '../../../src/domain/failures.ts';
import { type Fault, startFaultyProxy } from '../../support/faulty-proxy.ts';
import { startHttpServer } from '../../support/http-server.ts';
import { pushImage, sha256 } from '../../support/images.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { type RegistryClient, registryClient, repositoryAt, tagOf } from '../../support/registry-client.ts';

const latest = tagOf('latest');
const now = Date.parse('2026-03-01T10:00:00Z');

async function errorOf(attempt: Promise<unknown>): Promise<Error> {
  const error = await attempt.then(
    (value) => assert.fail(`expected an error, found ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Error);
  return error;
}

describe('a registry in trouble', () => {
  let registry: Registry;
  let digest: string;
  before(async () => {
    registry = await startRegistry();
    digest = await pushImage(registry, 'team/app', 'latest');
  });
  after(() => registry.stop());

  /** What one request meets, and what comes of the next one, which nothing disturbs. */
  async function meet(fault: Fault, ask: (client: RegistryClient, host: string) => Promise<unknown>): Promise<Error> {
    const proxy = await startFaultyProxy(registry.url, { faults: [fault] });
    try {
      const client = registryClient({ timeoutMs: 300, now: () => now });
      const error = await errorOf(ask(client, proxy.host));
      assert.equal(proxy.remaining(), 0);
      assert.equal((await client.manifest(repositoryAt(proxy), latest))?.digest, digest);
      return error;
    } finally {
      await proxy.stop();
    }
  }

  const manifest = (client: RegistryClient, host: string) => client.manifest(repositoryAt({ host }), latest);
  const resolve = (client: RegistryClient, host: string) => client.resolve(repositoryAt({ host }), latest);
  const tags = (client: RegistryClient, host: string) => client.tags(repositoryAt({ host }));

  const broken: readonly [name: string, fault: Fault, expected: RegExp][] = [
    ['answers 500', { kind: 'status', status: 500, body: 'disk\n full' }, /was answered with 500: disk full$/],
    ['answers 503', { kind: 'status', status: 503, headers: { 'retry-after': '5' } }, /was answered with 503$/],
    ['never answers', { kind: 'hang' }, /was not answered within 0\.3 s$/],
    ['cuts the connection', { kind: 'cut' }, /failed: \w+/],
    ['cuts the connection in the middle of the body', { kind: 'cut-body' }, /failed: /],
  ];
  for (const [name, fault, expected] of broken) {
    it(`that ${name} is broken, not refusing, and is asked again`, async () => {
      for (const ask of [manifest, tags]) {
        const error = await meet(fault, ask);
        assert.ok(!(error instanceof Refusal) && !(error instanceof RateLimit), String(error));
        assert.match(error.message, expected);
      }
    });
  }

  const limits: readonly [name: string, headers: Record<string, string>, until: string][] = [
    ['in seconds', { 'retry-after': '90' }, '2026-03-01T10:01:30.000Z'],
    ['as a date', { 'retry-after': 'Sun, 01 Mar 2026 12:00:00 GMT' }, '2026-03-01T12:00:00.000Z'],
    ['nowhere', {}, '2026-03-01T10:01:00.000Z'],
  ];
  for (const [name, headers, until] of limits) {
    it(`that limits us and says until when ${name} is left alone until then`, async () => {
      for (const ask of [manifest, resolve, tags]) {
        const error = await meet({ kind: 'status', status: 429, headers }, ask);
        assert.ok(error instanceof RateLimit, String(error));
        assert.equal(error.until.toISOString(), until);
      }
    });
  }

  it('that denies access answers no', async () => {
    const error = await meet({ kind: 'status', status: 403, body: '{"errors":[{"code":"DENIED"}]}' }, manifest);
    assert.ok(error instanceof Refusal);
    assert.equal(error.type, 'CredentialsRefused');
  });

  it('that nobody listens for is broken', async () => {
    const gone = await startRegistry();
    await gone.stop();
    const error = await errorOf(registryClient().resolve(repositoryAt(gone), latest));
    assert.match(error.message, /failed: ECONNREFUSED$/);
  });
});

describe('a registry that lies', () => {
  const bytes = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256('config'), size: 6 },
    layers: [],
  });

  async function ask(
    answer: (response: ServerResponse) => void,
    question: (client: RegistryClient, host: string) => Promise<unknown>,
  ) {
    const server = await startHttpServer((_, response) => answer(response));
    try {
      return await question(registryClient(), server.host);
    } finally {
      await server.stop();
    }
  }

  const refuses = (type: string, message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.type, type);
    assert.match(error.message, message);
    return true;
  };
  const byDigest = (client: RegistryClient, host: string) => client.manifest(repositoryAt({ host }), sha256(bytes));
  const byTag = (client: RegistryClient, host: string) => client.manifest(repositoryAt({ host }), latest);

  it('is found out when a manifest is not what its digest says', async () => {
    const answer = (response: ServerResponse) => response.end(bytes.replace('"layers":[]', '"layers": []'));
    await assert.rejects(
      ask(answer, byDigest),
      refuses('DigestMismatch', /should have the digest sha256:\w+, but its bytes have/),
    );
    assert.equal(((await ask((response) => response.end(bytes), byDigest)) as { digest: string }).digest, sha256(bytes));
  });

  it('is found out when a tag is not what the header says', async () => {
    const answer = (response: ServerResponse) => response.setHeader('docker-content-digest', sha256('another')).end(bytes);
    await assert.rejects(ask(answer, byTag), refuses('DigestMismatch', /should have the digest/));
  });

  it('is found out when a configuration is not what the manifest says', async () => {
    const config = (client: RegistryClient, host: string) => client.config(repositoryAt({ host }), sha256('config'));
    const answer = (response: ServerResponse) => response.end('{"os":"linux"}');
    await assert.rejects(ask(answer, config), refuses('DigestMismatch', /the image configuration/));
  });

  it('cannot make us hold a manifest of more than 4 MiB', async () => {
    const answer = (response: ServerResponse) =>
      response.setHeader('content-type', 'application/json').end(Buffer.alloc(4 * 1024 * 1024 + 1, ' '));
    await assert.rejects(ask(answer, byTag), refuses('NotAnImage', /larger than 4194304 bytes/));
  });

  it('cannot have one manifest read as two different images', async () => {
    const both = JSON.stringify({ ...JSON.parse(bytes), manifests: [] });
    await assert.rejects(
      ask((response) => response.end(both), byTag),
      refuses('NotAnImage', /both layers and manifests/),
    );
  });

  it('cannot send a manifest that is none', async () => {
    const odd = JSON.stringify({ ...JSON.parse(bytes), config: { digest: 'sha256:short' } });
    await assert.rejects(
      ask((response) => response.end(odd), byTag),
      refuses('NotAnImage', /: config\.\w+: /),
    );
    const junk = (response: ServerResponse) => response.setHeader('docker-content-digest', sha256('junk')).end('junk');
    await assert.rejects(ask(junk, byTag), refuses('NotAnImage', /is not JSON/));
  });

  it('is broken when its list of tags is none', async () => {
    const tags = (client: RegistryClient, host: string) => client.tags(repositoryAt({ host }));
    await assert.rejects(
      ask((response) => response.end('[1]'), tags),
      /is not of the form/,
    );
    await assert.rejects(
      ask((response) => response.end('<html>'), tags),
      /no JSON/,
    );
  });

  it('that says no digest in a header is asked for the manifest, which is hashed', async () => {
    const resolve = (client: RegistryClient, host: string) => client.resolve(repositoryAt({ host }), latest);
    assert.equal(await ask((response) => response.end(bytes), resolve), sha256(bytes));
  });

  it('that redirects without end is broken', async () => {
    const answer = (response: ServerResponse) => response.writeHead(307, { location: '/again' }).end();
    await assert.rejects(ask(answer, byTag), /redirects more than 5 times/);
  });
});
