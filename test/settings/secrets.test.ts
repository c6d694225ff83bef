import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { connectionOptions } from '../../src/config/temporal.ts';
import { Refusal } from '../../src/domain/failures.ts';
import { createSecretResolver, parseSecretReference, presentSecrets } from '../../src/settings/secrets.ts';
import { withFile } from '../config/support.ts';

function missing(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof Refusal);
    assert.equal(error.type, 'SecretMissing');
    return error.message;
  }
  assert.fail('expected a refusal');
}

describe('secret references', () => {
  it('stand for environment variables, looked up at each call', () => {
    const env: Record<string, string> = { TOKEN: 'one' };
    const resolve = createSecretResolver(env, '/');
    assert.equal(resolve('env:TOKEN'), 'one');
    env.TOKEN = 'two';
    assert.equal(resolve('env:TOKEN'), 'two');
  });

  it('stand for files beside the configuration, without the line break at their end', () => {
    withFile('', (_file, folder) => {
      writeFileSync(join(folder, 'token'), ' s3cret \r\n');
      assert.equal(createSecretResolver({}, folder)('file:token'), ' s3cret ');
      assert.equal(createSecretResolver({}, '/')(`file:${join(folder, 'token')}`), ' s3cret ');
    });
  });

  it('leave plain text as it is', () => {
    const resolve = createSecretResolver({}, '/');
    fc.assert(fc.property(fc.string(), (text) => parseSecretReference(text) !== undefined || resolve(text) === text));
    for (const text of ['', 'plain', 'env:', 'env:1A', 'env:A B', 'ENV:A', ' env:A']) assert.equal(resolve(text), text);
  });

  it('are refused when missing or empty, by name', () => {
    withFile('', (_file, folder) => {
      writeFileSync(join(folder, 'empty'), '\n');
      const resolve = createSecretResolver({ EMPTY: '' }, folder);
      assert.match(
        missing(() => resolve('env:NOPE')),
        /variable NOPE, which is not set/,
      );
      assert.match(
        missing(() => resolve('env:EMPTY')),
        /variable EMPTY, which is empty/,
      );
      assert.match(
        missing(() => resolve('file:nope')),
        /nope, which cannot be read \(ENOENT\)/,
      );
      assert.match(
        missing(() => resolve('file:empty')),
        /empty, which is empty/,
      );
    });
  });

  it('may be missing with a ?, but not unreadable', () => {
    withFile('', (_file, folder) => {
      mkdirSync(join(folder, 'directory'));
      const resolve = createSecretResolver({ TOKEN: 't' }, folder);
      assert.equal(resolve('env:NOPE?'), '');
      assert.equal(resolve('env:TOKEN?'), 't');
      assert.equal(resolve('file:nope?'), '');
      assert.match(
        missing(() => resolve('file:directory?')),
        /EISDIR/,
      );
    });
  });

  it('leave nothing empty among the secrets of a list', () => {
    const resolve = createSecretResolver({ A: 'a', EMPTY: '' }, '/');
    assert.deepEqual(presentSecrets(resolve, ['env:A', 'env:NOPE?', 'env:EMPTY?']), ['a']);
  });
});

describe('the connection to a Temporal cluster', () => {
  it('holds the certificates and the key that the references stand for', () => {
    withFile('', (_file, folder) => {
      for (const name of ['ca', 'client']) writeFileSync(join(folder, name), name);
      const tls = { serverName: 'temporal', ca: join(folder, 'ca'), certificate: join(folder, 'client'), key: 'env:KEY' };
      const cluster = { kind: 'cluster', address: 'a:1', namespace: 'n', tls, apiKey: 'env:API' } as const;
      assert.deepEqual(connectionOptions(cluster, createSecretResolver({ KEY: 'key', API: 'api' }, folder)), {
        address: 'a:1',
        apiKey: 'api',
        tls: {
          serverNameOverride: 'temporal',
          serverRootCACertificate: Buffer.from('ca'),
          clientCertPair: { crt: Buffer.from('client'), key: Buffer.from('key') },
        },
      });
    });
  });

  it('is plain where nothing else is said', () => {
    const cluster = { kind: 'cluster', address: 'a:1', namespace: 'n', tls: false } as const;
    assert.deepEqual(connectionOptions(cluster, createSecretResolver({}, '/')), { address: 'a:1' });
  });
});
