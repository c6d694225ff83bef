import assert from 'node:assert/strict';
import { UnsecuredJWT } from 'jose';
import { pino } from 'pino';
import { KeysUnavailable } from '../../../src/api/oidc/issuer-keys.ts';
import { createTokenVerifier, TokenRefused, type TokenVerifierOptions } from '../../../src/api/oidc/token-verifier.ts';
import { type OidcIssuer, startOidcIssuer } from '../../support/oidc-issuer.ts';

const log = pino({ enabled: false });
const aud = 'https://landfall.example.org';
const minute = 60_000;

describe('the verifier of OIDC tokens', () => {
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
  /** Signed after the time has passed, so that only keys age. */
  const goodThen = () => good({ exp: Math.floor((Date.now() + later) / 1000) + 300 });

  it('gives the claims of a good token', async () => {
    const { claims, issuer: from } = await verifier()(await good());
    assert.equal(claims.sub, 'somebody');
    assert.equal(from, issuer.url);
  });

  for (const alg of ['RS256', 'RS512', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
    it(`takes ${alg}`, async () => {
      await issuer.rotate(alg);
      await verifier()(await good());
    });
  }

  it('takes one of several audiences, on either side', async () => {
    const verify = verifier({ audiences: ['other', aud] });
    await verify(await good({ aud: ['x', aud] }));
    await verify(await good({ aud: 'other' }));
  });

  it('takes an issuer by its other names', async () => {
    await verifier()(await good({ iss: `${issuer.url}/` }));
    const verify = verifier({ issuers: [{ url: issuer.url, aliases: ['accounts.example'] }] });
    await verify(await good({ iss: 'accounts.example' }));
  });

  const seconds = () => Math.floor(Date.now() / 1000);
  const refusals: Record<string, { claims: () => Record<string, unknown>; reason: RegExp }> = {
    expired: { claims: () => ({ exp: seconds() - 10 }), reason: /expired/ },
    'without an end': { claims: () => ({ exp: undefined }), reason: /has no exp/ },
    'not yet valid': { claims: () => ({ nbf: seconds() + 60 }), reason: /not valid yet \(nbf\)/ },
    'issued in the future': { claims: () => ({ iat: seconds() + 60 }), reason: /issued in the future \(iat\)/ },
    'for another audience': { claims: () => ({ aud: `${aud}.evil` }), reason: /audience \(aud\) is not/ },
    'for no audience': { claims: () => ({ aud: undefined }), reason: /has no aud/ },
    'for other audiences': { claims: () => ({ aud: [] }), reason: /audience/ },
    'of another issuer': { claims: () => ({ iss: 'https://token.actions.example' }), reason: /issuer \(iss\) is none of/ },
    'of a look-alike issuer': { claims: () => ({ iss: `${issuer.url}.evil` }), reason: /issuer \(iss\) is none of/ },
    'of no issuer': { claims: () => ({ iss: undefined }), reason: /issuer \(iss\) is none of/ },
  };
  for (const [name, { claims, reason }] of Object.entries(refusals)) {
    it(`refuses a token ${name}`, async () => {
      await refused(verifier()(await good(claims())), reason);
    });
  }

  it('refuses claims of the wrong type', async () => {
    for (const claims of [{ exp: '9999999999' }, { nbf: 'now' }, { iat: {} }, { aud: 7 }, { iss: 1 }, { iss: [issuer.url] }]) {
      // What jose would not sign, it is made to.
      const token = await forged({ aud, iss: issuer.url, exp: seconds() + 300, ...claims });
      await refused(verifier()(token), /./);
    }
  });

  it('refuses a token that is not signed (alg none)', async () => {
    const claims = { iss: issuer.url, aud, exp: seconds() + 300 };
    await refused(verifier()(new UnsecuredJWT(claims).encode()), /names no key/);
    for (const alg of ['none', 'None', 'NONE']) {
      await refused(verifier()(`${part({ alg, kid: issuer.newest().kid })}.${part(claims)}.`), /algorithm \(alg\) is none of/);
    }
  });

  it('refuses HS256 under the public key', async () => {
    const secret = new TextEncoder().encode(await issuer.publicKey());
    const token = await issuer.sign({ aud }, { alg: 'HS256', key: secret });
    await refused(verifier()(token), /algorithm \(alg\) is none of/);
  });

  it('refuses a token that was changed, or whose signature was', async () => {
    const [head = '', , signature = ''] = (await good()).split('.');
    const other = part({ iss: issuer.url, aud, sub: 'somebody else', exp: seconds() + 300 });
    await refused(verifier()(`${head}.${other}.${signature}`), /signature is wrong/);
    await refused(verifier()((await good()).slice(0, -8)), /signature is wrong/);
  });

  it('refuses a key of another issuer under the right kid', async () => {
    const other = await startOidcIssuer();
    try {
      const both = verifier({ issuers: [{ url: issuer.url }, { url: other.url }] });
      await both(await issuer.sign({ aud }));
      await both(await other.sign({ aud }));
      await refused(both(await other.sign({ aud, iss: issuer.url })), /key \(kid\) is none/);
      const borrowed = { kid: issuer.newest().kid };
      await refused(both(await other.sign({ aud, iss: issuer.url }, borrowed)), /signature is wrong/);
    } finally {
      await other.stop();
    }
  });

  it('refuses what is no token, and never repeats it', async () => {
    const canary = 'canary-3b1f';
    for (const text of [
      '',
      '.',
      '..',
      canary,
      `${canary}.${canary}.${canary}`,
      'e30.e30.',
      `e30.${part([canary])}.x`,
      'a.b.c.d.e',
    ]) {
      await refused(verifier()(text), /./, canary);
    }
    await refused(verifier()(await good({ iss: canary })), /issuer/, canary);
    await refused(verifier()(await good({ aud: canary })), /audience/, canary);
    await refused(verifier()(await issuer.sign({ aud }, { kid: canary })), /kid/, canary);
  });

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
      await verify(await goodThen());
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

  async function forged(claims: object): Promise<string> {
    const { kid, key } = issuer.newest();
    const input = `${part({ alg: 'RS256', kid })}.${part(claims)}`;
    const signature = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', key, new TextEncoder().encode(input));
    return `${input}.${Buffer.from(signature).toString('base64url')}`;
  }
});

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

async function refused(verified: Promise<unknown>, reason: RegExp, canary?: string): Promise<void> {
  await assert.rejects(verified, (error: unknown) => {
    assert.ok(error instanceof TokenRefused, String(error));
    assert.match(error.message, reason);
    if (canary !== undefined) assert.ok(!error.message.includes(canary), error.message);
    return true;
  });
}
