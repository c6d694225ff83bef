import assert from 'node:assert/strict';
import { pino } from 'pino';
import { KeysUnavailable } from '../../../src/http/oidc/issuer-keys.ts';
import { createTokenVerifier, type TokenVerifierOptions } from '../../../src/http/oidc/token-verifier.ts';
import { type OidcIssuer, startOidcIssuer } from '../../support/oidc-issuer.ts';

const log = pino({ enabled: false });
const aud = 'https://landfall.example.org';
const minute = 60_000;

describe('the keys of an issuer', () => {
  let issuer: OidcIssuer;
  let later: number;

  beforeEach(async () => {
    issuer = await startOidcIssuer();
    later = 0;
  });
  afterEach(() => issuer.stop());

  const verifier = (options: Partial<TokenVerifierOptions> = {}) =>
    createTokenVerifier({ issuers: [{ url: issuer.url }], audiences: [aud], log, now: () => Date.now() + later, ...options });
  const good = (claims: Record<string, unknown> = {}) => issuer.sign({ aud, sub: 'somebody', ...claims });
  const seconds = () => Math.floor(Date.now() / 1000);
  /** Signed after the time has passed, so that only keys age. */
  const goodThen = () => good({ exp: Math.floor((Date.now() + later) / 1000) + 300 });
  const refused = (verified: Promise<unknown>, message: RegExp) => assert.rejects(verified, { name: 'TokenRefused', message });

  it('fetches the keys once for many tokens at a time', async () => {
    const verify = verifier();
    const token = await good();
    await Promise.all(Array.from({ length: 20 }, () => verify(token)));
    assert.deepEqual(issuer.fetches, { discovery: 1, keys: 1, tokens: 0 });
  });

  it('follows a rotation at once, and trusts the old key no more', async () => {
    const verify = verifier();
    const old = await good();
    await verify(old);
    await issuer.rotate();
    await verify(await good());
    await refused(verify(old), /key \(kid\) is none/);
    assert.equal(issuer.fetches.keys, 3);
  });

  it('forgets a withdrawn key within ten minutes, even if no other one is seen', async () => {
    const verify = verifier();
    const { key, kid } = issuer.newest();
    await verify(await good());
    await issuer.rotate();
    later = 11 * minute;
    const token = await issuer.sign({ aud, exp: seconds() + 3600 }, { key, kid });
    await refused(verify(token), /key \(kid\) is none/);
  });

  it('does not let unknown kids hammer the issuer', async () => {
    const verify = verifier();
    await verify(await good());
    for (let count = 0; count < 30; count++)
      await refused(verify(await issuer.sign({ aud }, { kid: `unknown-${count}` })), /kid/);
    assert.ok(issuer.fetches.keys <= 5, `${issuer.fetches.keys} fetches`);
    // A rotation is seen all the same, half a minute later.
    await issuer.rotate();
    later = minute / 2;
    await verify(await good());
  });

  it('survives an outage of the issuer with the last good keys, for a day', async () => {
    const verify = verifier();
    await verify(await good());
    issuer.goDown();
    for (const minutes of [1, 11, 60, 23 * 60]) {
      later = minutes * minute;
      await verify(await goodThen());
    }
    later = 25 * 60 * minute;
    await assert.rejects(verify(await goodThen()), KeysUnavailable);
    issuer.comeBack();
    later += minute;
    await verify(await goodThen());
  });

  it('does not ask an issuer that is down at every request', async () => {
    const verify = verifier();
    await verify(await good());
    issuer.goDown();
    later = 11 * minute;
    for (let count = 0; count < 10; count++) await verify(await goodThen());
    assert.ok(issuer.fetches.discovery <= 2, `${issuer.fetches.discovery} fetches`);
  });

  it('cannot tell where the first keys are not to be had, and can once they are', async () => {
    issuer.goDown();
    const verify = verifier();
    const token = await good();
    for (let count = 0; count < 10; count++) await assert.rejects(verify(token), KeysUnavailable);
    assert.ok(issuer.fetches.discovery <= 1, `${issuer.fetches.discovery} fetches`);
    issuer.comeBack();
    later = 3_000;
    await verify(token);
  });

  const answers: Record<string, Parameters<OidcIssuer['serveKeys']>[0]> = {
    'too large': (response) => response.end(JSON.stringify({ keys: [], padding: 'x'.repeat(300 * 1024) })),
    'without end': (response) => {
      const more = () => response.write('x'.repeat(64 * 1024), () => setImmediate(more));
      more();
    },
    'no JSON': (response) => response.end('<html>'),
    'no keys': (response) => response.end('{"keys":"none"}'),
    'an empty list': (response) => response.end('{"keys":[]}'),
    null: (response) => response.end('null'),
    'an error': (response) => response.writeHead(500).end('{"keys":[]}'),
    // Where they are now, they are good.
    moved: (response) =>
      response.req.url?.includes('?')
        ? response.end(JSON.stringify({ keys: [issuer.newest().jwk] }))
        : response.writeHead(302, { Location: '/keys?moved' }).end(),
    silent: () => undefined,
  };
  for (const [name, answer] of Object.entries(answers)) {
    it(`cannot tell where the keys are ${name}`, async () => {
      issuer.serveKeys(answer);
      const verify = verifier({ limits: { timeoutMs: 300, bytes: 256 * 1024 } });
      await assert.rejects(verify(await good()), KeysUnavailable);
    });

    it(`keeps the good keys where new ones are ${name}`, async () => {
      const verify = verifier({ limits: { timeoutMs: 300, bytes: 256 * 1024 } });
      await verify(await good());
      issuer.serveKeys(answer);
      later = 11 * minute;
      assert.equal((await verify(await goodThen())).claims.sub, 'somebody');
      assert.equal(issuer.fetches.discovery, 2, 'new ones were asked for');
    });
  }

  it('takes no keys of a discovery that names another issuer, or whose keys come unprotected', async () => {
    const lies: [Record<string, unknown>, RegExp][] = [
      [{ issuer: 'https://other.example' }, /to name the issuer .*, found another/],
      [{ issuer: undefined }, /expected issuer and jwks_uri/],
      [{ jwks_uri: 7 }, /expected issuer and jwks_uri/],
      [{ jwks_uri: 'http://192.0.2.1/keys' }, /to begin with https/],
      [{ jwks_uri: 'keys' }, /to begin with https/],
    ];
    for (const [lie, message] of lies) {
      Object.assign(issuer.discovery, lie);
      await assert.rejects(verifier()(await good()), { name: 'KeysUnavailable', message });
      for (const key of Object.keys(lie)) delete issuer.discovery[key];
    }
    await verifier()(await good());
  });
});
