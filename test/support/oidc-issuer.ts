import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  SignJWT,
} from 'jose';

/** An issuer of OpenID Connect tokens on a loopback port: discovery, keys, and private keys to sign with. */
export interface OidcIssuer {
  readonly url: string;
  /** Requests since the start; those that nobody answers are counted as well. */
  readonly fetches: Record<'discovery' | 'keys' | 'tokens', number>;
  /** What discovery says in place of the truth. */
  readonly discovery: Record<string, unknown>;
  /** Signs by the newest key. Without claims of their own, tokens are of this issuer and good for five minutes. */
  sign(
    claims: JWTPayload,
    header?: { kid?: string | undefined; alg?: string; key?: SigningKey['key'] | Uint8Array },
  ): Promise<string>;
  /** A new key is signed with from now on, and the old ones are published no more. */
  rotate(alg?: string): Promise<SigningKey>;
  /** The keys are served as they are, or as told: other bytes, a status, endless or no answer. */
  serveKeys(answer: ((response: ServerResponse) => void) | undefined): void;
  /** Connections are cut off until it comes back, at the same address. */
  goDown(): void;
  comeBack(): void;
  /** The public key of the newest key as PEM: what a forger could sign with, were shared secrets taken. */
  publicKey(): Promise<string>;
  readonly newest: () => SigningKey;
  /** What a runner sets for a job that may request tokens, which have these claims and the audience that is asked for. */
  jobEnvironment(claims: Readonly<Record<string, unknown>>): Record<string, string>;
  stop(): Promise<void>;
}

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly key: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

const requestToken = 'canary-request-token';

const paths: Readonly<Record<string, keyof OidcIssuer['fetches']>> = {
  '/.well-known/openid-configuration': 'discovery',
  '/keys': 'keys',
  '/token': 'tokens',
};

export async function startOidcIssuer(): Promise<OidcIssuer> {
  const fetches = { discovery: 0, keys: 0, tokens: 0 };
  const discovery: Record<string, unknown> = {};
  let newest = await createKey('RS256');
  let isDown = false;
  let answerKeys: ((response: ServerResponse) => void) | undefined;
  let jobClaims: Readonly<Record<string, unknown>> = {};
  const answers: Record<keyof OidcIssuer['fetches'], (request: IncomingMessage, response: ServerResponse) => unknown> = {
    discovery: () => ({ issuer: url, jwks_uri: `${url}/keys`, ...discovery }),
    keys: () => ({ keys: [newest.jwk] }),
    tokens: async (request, response) => {
      const audience = new URL(request.url ?? '', url).searchParams.get('audience');
      if (request.headers.authorization === `Bearer ${requestToken}`)
        return { count: 1, value: await sign({ ...jobClaims, aud: audience ?? '' }) };
      response.statusCode = 401;
      return { detail: 'the request token is wrong' };
    },
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [path = ''] = request.url?.split('?') ?? [];
    const what = paths[path];
    if (what === undefined) return void response.writeHead(404).end();
    fetches[what] += 1;
    if (isDown) return void request.socket.destroy();
    if (what === 'keys' && answerKeys !== undefined) return answerKeys(response);
    const body = JSON.stringify(await answers[what](request, response));
    response.setHeader('Content-Type', 'application/json').end(body);
  };
  const server = createServer((request, response) => void handle(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  const url = `http://127.0.0.1:${address.port}`;
  const sign: OidcIssuer['sign'] = (claims, { kid = newest.kid, alg = newest.alg, key = newest.key } = {}) =>
    new SignJWT({ iss: url, ...timesFrom(Date.now()), ...claims } as JWTPayload).setProtectedHeader({ alg, kid }).sign(key);
  return {
    url,
    fetches,
    discovery,
    newest: () => newest,
    jobEnvironment(claims) {
      jobClaims = claims;
      return {
        ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2.0`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken,
      };
    },
    sign,
    async rotate(alg = 'RS256') {
      newest = await createKey(alg);
      return newest;
    },
    serveKeys: (answer) => {
      answerKeys = answer;
    },
    goDown: () => {
      isDown = true;
      server.closeAllConnections();
    },
    comeBack: () => {
      isDown = false;
    },
    publicKey: () => exportSPKI(newest.publicKey),
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** As issuers set them: from now on, for five minutes. */
function timesFrom(now: number): JWTPayload {
  const seconds = Math.floor(now / 1000);
  return { iat: seconds, nbf: seconds, exp: seconds + 300 };
}

async function createKey(alg: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  return { kid, alg, key: privateKey, publicKey, jwk: { ...jwk, kid, alg, use: 'sig' } };
}

/** Claims of a job of GitHub Actions, as its documentation shows them. */
export const githubJobClaims = {
  sub: 'repo:test-org/app:ref:refs/heads/main',
  ref: 'refs/heads/main',
  sha: '6c3ed5d8f1f5d0a4f8ad36e6ca6ed0fdd62a7ccb',
  repository: 'test-org/app',
  repository_owner: 'test-org',
  repository_owner_id: '1234',
  run_id: '8571234567',
  run_attempt: '1',
  actor: 'octocat',
  workflow: 'Release',
  workflow_ref: 'test-org/app/.github/workflows/release.yml@refs/heads/main',
  event_name: 'push',
  ref_type: 'branch',
} as const;
