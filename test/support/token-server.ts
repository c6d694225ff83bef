import { createHash, createSign, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TokenAuth } from './registry.ts';

export interface TokenServer {
  /** What a registry is started with: `startRegistry({ tokenAuth: server.auth })`. */
  readonly auth: TokenAuth;
  /** Every request for a token that came, as `SCOPE by USER`; the user is `anonymous` where nobody was named. */
  readonly requests: readonly string[];
  /** A bearer token that allows a scope (`repository:team/app:pull,push`), to push with. */
  issue(scope: string): string;
  stop(): Promise<void>;
}

export interface TokenServerOptions {
  /** Who gets tokens; nobody named: everybody. An identity token is taken as `password` of a POST. */
  readonly account?: { readonly user: string; readonly password: string };
  /** 300 s */
  readonly expiresInSeconds?: number;
}

const service = 'landfall-tests';
const issuer = 'landfall-token-server';

/** A token server as distribution's registry trusts it: real RS256 tokens, by a key made for this server. */
export async function startTokenServer(options: TokenServerOptions = {}): Promise<TokenServer> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const expiresIn = options.expiresInSeconds ?? 300;
  const requests: string[] = [];
  const issue = (scope: string) => signToken(scope, privateKey, publicKey, expiresIn);
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const asked = await readRequest(incoming);
    requests.push(`${asked.scope} by ${asked.user}`);
    const { account } = options;
    const isNamed = incoming.method === 'POST' || asked.user === account?.user;
    const isAllowed = account === undefined || (isNamed && asked.password === account.password);
    outgoing.writeHead(isAllowed ? 200 : 401, { 'content-type': 'application/json' });
    const name = incoming.method === 'POST' ? 'access_token' : 'token';
    outgoing.end(
      JSON.stringify(isAllowed ? { [name]: issue(asked.scope), expires_in: expiresIn } : { details: 'incorrect password' }),
    );
  };
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  return {
    auth: {
      realm: `http://127.0.0.1:${address.port}/token`,
      service,
      issuer,
      certificate: selfSignedCertificate(privateKey, publicKey),
    },
    requests,
    issue,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function readRequest(incoming: IncomingMessage): Promise<{ scope: string; user: string; password: string }> {
  if (incoming.method === 'POST') {
    const form = new URLSearchParams(await text(incoming));
    return { scope: form.get('scope') ?? '', user: '<token>', password: form.get('refresh_token') ?? '' };
  }
  const { searchParams } = new URL(incoming.url ?? '/', 'http://127.0.0.1');
  const basic = Buffer.from((incoming.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString();
  const [user = '', password = ''] = basic.split(':');
  return { scope: searchParams.get('scope') ?? '', user: user || 'anonymous', password };
}

function signToken(scope: string, privateKey: KeyObject, publicKey: KeyObject, expiresIn: number): string {
  const [type, name, actions = ''] = scope.split(':');
  const now = Math.floor(Date.now() / 1_000);
  const header = { typ: 'JWT', alg: 'RS256', kid: keyId(publicKey) };
  const claims = {
    iss: issuer,
    sub: 'landfall',
    aud: service,
    exp: now + expiresIn,
    nbf: now - 10,
    iat: now,
    jti: randomUUID(),
    access: [{ type, name, actions: actions.split(',') }],
  };
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${signed}.${createSign('sha256').update(signed).sign(privateKey, 'base64url')}`;
}

/** libtrust's name of a key: 240 bits of the SHA-256 of the public key, in base32, in twelve groups of four. */
function keyId(publicKey: KeyObject): string {
  const hash = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 30);
  const bits = [...hash].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = (bits.match(/.{5}/g) ?? [])
    .map((five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five, 2)])
    .join('');
  return (letters.match(/.{4}/g) ?? []).join(':');
}

/** The smallest certificate (X.509 version 1, DER in PEM) that carries a key: Node makes none, and the registry takes keys only so. */
function selfSignedCertificate(privateKey: KeyObject, publicKey: KeyObject): string {
  const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
  const rsaWithSha256 = sequence(der(0x06, Buffer.from('2a864886f70d01010b', 'hex')), der(0x05));
  const commonName = sequence(der(0x06, Buffer.from('550403', 'hex')), der(0x0c, Buffer.from(issuer)));
  const name = sequence(der(0x31, commonName));
  const time = (years: number) => der(0x18, Buffer.from(`${new Date().getUTCFullYear() + years}0101000000Z`));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const content = sequence(der(0x02, Buffer.from([1])), rsaWithSha256, name, sequence(time(-1), time(2)), name, key);
  const signature = createSign('sha256').update(content).sign(privateKey);
  const certificate = sequence(content, rsaWithSha256, der(0x03, Buffer.from([0]), signature));
  const lines = (certificate.toString('base64').match(/.{1,64}/g) ?? []).join('\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
