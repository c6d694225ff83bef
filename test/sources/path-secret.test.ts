import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import type { Environment } from '../../src/domain/environment.ts';
import type { RequestHead } from '../../src/http/authentication.ts';
import { acrSource } from '../../src/sources/acr/index.ts';
import { aliyunSource } from '../../src/sources/aliyun/index.ts';
import { dockerhubSource } from '../../src/sources/dockerhub/index.ts';
import type { PathSecretSettings } from '../../src/sources/kit/path-secret.ts';
import { quaySource } from '../../src/sources/quay/index.ts';
import { authenticityOf, contextOf, isAuthentic, only } from '../api/support/receivers.ts';

const env: Environment = { SECRET: 'canary-new', SECRET_OLD: 'canary-old', EMPTY: '' };

const sources = {
  quay: (quay: PathSecretSettings, variables = env) => quaySource.open({ quay }, contextOf(variables)),
  dockerhub: (dockerhub: PathSecretSettings, variables = env) => dockerhubSource.open({ dockerhub }, contextOf(variables)),
  acr: (acr: PathSecretSettings, variables = env) => acrSource.open({ acr }, contextOf(variables)),
  aliyun: (aliyun: PathSecretSettings, variables = env) => aliyunSource.open({ aliyun }, contextOf(variables)),
};
const schemas: Record<string, z.ZodType> = Object.fromEntries(
  [quaySource, dockerhubSource, acrSource, aliyunSource].map((source) => [source.name, source.settings(() => undefined)]),
);

describe('the sources whose secret stands in the path', () => {
  for (const [name, open] of Object.entries(sources)) {
    describe(name, () => {
      const both = { secrets: ['env:SECRET', 'env:SECRET_OLD?'] };
      const received = (settings: PathSecretSettings, variables?: Environment) => only(open(settings, variables));

      it('has its own path, with the secret after it, and takes JSON', () => {
        const { source, path, secretInPath, mediaTypes } = received(both);
        assert.deepEqual([source, path, secretInPath, mediaTypes], [name, `/webhook/${name}`, true, ['application/json']]);
      });

      it('takes any of its secrets in the path, or in Authorization with or without Bearer', async () => {
        const receiver = received(both);
        for (const secret of ['canary-new', 'canary-old']) {
          assert.equal(await isAuthentic(receiver, { pathSecret: secret }), true);
          for (const authorization of [secret, `Bearer ${secret}`, `bearer ${secret}`]) {
            assert.equal(await isAuthentic(receiver, { headers: { authorization } }), true, authorization);
          }
        }
      });

      it('refuses every other secret, and none', async () => {
        const receiver = received(both);
        const heads: Partial<RequestHead>[] = [
          {},
          { pathSecret: '' },
          { pathSecret: 'canary-ne' },
          { pathSecret: 'canary-new ' },
          { pathSecret: 'canary-new/canary-new' },
          { pathSecret: 'CANARY-NEW' },
          { pathSecret: 'é\u0000🙂' },
          { pathSecret: 'x'.repeat(100_000) },
          { pathSecret: 'wrong', headers: { authorization: 'canary-new' } },
          { headers: { authorization: '' } },
          { headers: { authorization: 'Bearer' } },
          { headers: { authorization: 'Basic canary-new' } },
          { query: new URLSearchParams({ secret: 'canary-new' }) },
        ];
        for (const head of heads) assert.equal(await isAuthentic(receiver, head), false, JSON.stringify(head).slice(0, 100));
      });

      it('refuses an old secret once it is removed, without a restart where it was in a file', async () => {
        const folder = mkdtempSync(join(tmpdir(), 'landfall-path-secret-'));
        try {
          const file = join(folder, 'secret');
          writeFileSync(file, 'canary-file\n');
          const receiver = received({ secrets: ['env:SECRET', `file:${file}?`] });
          assert.equal(await isAuthentic(receiver, { pathSecret: 'canary-file' }), true);
          rmSync(file);
          assert.equal(await isAuthentic(receiver, { pathSecret: 'canary-file' }), false);
          assert.equal(await isAuthentic(receiver, { pathSecret: 'canary-new' }), true);
          assert.equal(await isAuthentic(received({ secrets: ['env:SECRET'] }), { pathSecret: 'canary-old' }), false);
        } finally {
          rmSync(folder, { recursive: true });
        }
      });

      it('does not start without a secret', () => {
        for (const secrets of [['env:EMPTY?'], ['env:ABSENT?']]) {
          assert.throws(() => received({ secrets }), { message: new RegExp(`^receivers\\.${name}\\.secrets: expected`) });
        }
        assert.throws(() => received({ secrets: ['env:ABSENT'] }), /ABSENT/);
      });

      it('takes requests only from its networks, where they are named', async () => {
        const networks = ['203.0.113.0/24', '198.51.100.7', '2001:db8::/32'];
        const receiver = received({ ...both, networks });
        const from = (address: string, pathSecret = 'canary-new') => isAuthentic(receiver, { address, pathSecret });
        for (const address of [
          '203.0.113.9',
          '::ffff:203.0.113.9',
          '::FFFF:203.0.113.9',
          '198.51.100.7',
          '2001:db8::1',
          '2001:0DB8:1::2',
        ]) {
          assert.equal(await from(address), true, address);
          assert.equal(await from(address, 'wrong'), false, address);
        }
        for (const address of ['203.0.114.9', '::ffff:203.0.114.9', '198.51.100.8', '2001:db9::1', '::1', 'unknown', '']) {
          assert.equal(await from(address), false, address);
        }
      });

      it('says in the log why, and never with what was sent or expected', async () => {
        const receiver = received({ ...both, networks: ['203.0.113.0/24'] });
        for (const head of [
          { address: '192.0.2.1' },
          { address: '203.0.113.9' },
          { address: '203.0.113.9', pathSecret: 'guess-4711' },
        ]) {
          const verdict = await authenticityOf(receiver, head);
          assert.equal(verdict.authentic, false);
          assert.doesNotMatch(verdict.authentic ? '' : verdict.reason, /guess|canary|192\.0/);
        }
        assert.doesNotMatch(receiver.authenticationAdvice, /canary/);
      });

      it('is configured with references to secrets and with networks, and nothing else', () => {
        const accepts = (settings: unknown) => schemas[name]?.safeParse(settings).success;
        assert.equal(accepts({ secrets: 'env:SECRET' }), true);
        assert.equal(accepts({ secrets: ['env:SECRET', 'file:old?'], networks: ['203.0.113.0/24', '::1'] }), true);
        for (const settings of [
          {},
          null,
          { secrets: [] },
          { secrets: 'canary-new' },
          { secrets: 'env:SECRET', networks: [] },
          // Addresses of a shared service are those of all its accounts.
          { networks: ['203.0.113.0/24'] },
          { secrets: 'env:SECRET', networks: ['203.0.113.0/33'] },
          { secrets: 'env:SECRET', token: 'env:SECRET' },
        ]) {
          assert.equal(accepts(settings), false, JSON.stringify(settings));
        }
      });
    });
  }
});
