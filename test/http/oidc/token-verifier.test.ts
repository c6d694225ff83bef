import assert from 'node:assert/strict';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { pino } from 'pino';
import { createTokenVerifier, TokenRefused, type TokenVerifierOptions } from '../../../src/http/oidc/token-verifier.ts';
import { type OidcIssuer, type SigningKey, startOidcIssuer } from '../../support/oidc-issuer.ts';

const log = pino({ enabled: false });
const aud = 'https://landfall.example.org';

describe('the verifier of OIDC tokens', () => {
  let issuer: OidcIssuer;

  beforeEach(async () => {
    issuer = await startOidcIssuer();
  });
  afterEach(() => issuer.stop());

  const verifier = (options: Partial<TokenVerifierOptions> = {}) =>
    createTokenVerifier({ issuers: [{ url: issuer.url }], audiences: [aud], log, now: Date.now, ...options });
  const good = (claims: Record<string, unknown> = {}) => issuer.sign({ aud, sub: 'somebody', ...claims });

  it('gives the claims of a good token', async () => {
    const { claims, issuer: from } = await verifier()(await good());
    assert.equal(claims.sub, 'somebody');
    assert.equal(from, issuer.url);
  });

  for (const alg of ['RS256', 'RS512', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
    it(`takes ${alg}`, async () => {
      await issuer.rotate(alg);
      assert.equal((await verifier()(await good())).claims.sub, 'somebody');
    });
  }

  it('takes one of several audiences, on either side', async () => {
    const verify = verifier({ audiences: ['other', aud] });
    for (const meantFor of [['x', aud], 'other'])
      assert.deepEqual((await verify(await good({ aud: meantFor }))).claims.aud, meantFor);
  });

  it('takes an issuer by its other names', async () => {
    const verify = verifier({ issuers: [{ url: issuer.url, aliases: ['accounts.example'] }] });
    for (const iss of [`${issuer.url}/`, 'accounts.example']) {
      const verified = await verify(await good({ iss }));
      assert.deepEqual([verified.issuer, verified.claims.iss], [issuer.url, iss]);
    }
    await refused(verifier()(await good({ iss: 'accounts.example' })), /issuer/);
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

  it('refuses what a header asks for beyond the issuer’s keys: its own key, a place to fetch one, extensions', async () => {
    const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
    const jwk = await exportJWK(publicKey);
    const { kid, key } = issuer.newest();
    const signed = (header: object, by: SigningKey['key']) =>
      new SignJWT({ aud, iss: issuer.url, exp: seconds() + 300 }).setProtectedHeader({ alg: 'RS256', kid, ...header }).sign(by);
    for (const header of [{ jwk }, { jku: `${issuer.url}/evil` }, { x5u: `${issuer.url}/evil` }]) {
      await refused(verifier()(await signed(header, privateKey)), /signature is wrong/);
    }
    for (const crit of [['exp'], ['urn:evil'], []]) {
      const [, ...rest] = (await signed({}, key)).split('.');
      const head = part({ alg: 'RS256', kid, crit, 'urn:evil': 1, exp: 1 });
      await refused(verifier()([head, ...rest].join('.')), /no good JSON Web Token|signature is wrong/);
    }
    for (const path of ['../keys', 'https://evil.example/keys', `${kid}\0`, '__proto__', 'constructor']) {
      await refused(verifier()(await issuer.sign({ aud }, { kid: path })), /key \(kid\) is none/);
    }
  });

  it('uses no key that an issuer should not have published: a private or a symmetric one', async () => {
    const { kid, key } = issuer.newest();
    const leaked = { ...(await exportJWK(key)), kid, alg: 'RS256', use: 'sig' };
    issuer.serveKeys((response) => response.end(JSON.stringify({ keys: [leaked] })));
    await refused(verifier()(await good()), /./);
    const shared = Buffer.from('shared-secret-of-at-least-32-bytes!');
    const symmetric = { kty: 'oct', kid, k: shared.toString('base64url') };
    issuer.serveKeys((response) => response.end(JSON.stringify({ keys: [symmetric] })));
    await refused(verifier()(await issuer.sign({ aud }, { alg: 'HS256', key: shared })), /algorithm \(alg\) is none of/);
    await refused(verifier()(await good()), /key \(kid\) is none/);
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
