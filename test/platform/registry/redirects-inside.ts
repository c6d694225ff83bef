/**
 * Registries at addresses of every kind, and where their redirects and challenges lead: run by redirects.test.ts in namespaces of its own, where
 * this machine has those addresses, and /etc/hosts is what the argument names. Prints what came out, by claim, as JSON.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createIssuerKeys } from '../../../src/http/oidc/issuer-keys.ts';
import { sha256 } from '../../support/images.ts';
import { registryClient, repositoryAt } from '../../support/registry-client.ts';

const [hostsFile = ''] = process.argv.slice(2);
const config = '{"os":"linux","architecture":"amd64"}';
const secret = 'what only those inside may know';

/** What the storage was asked, and at which of its addresses. */
let reached: string[] = [];
const storage = createServer((request, response) => {
  const path = request.url?.replace(/\?.*/, '') ?? '';
  reached.push(`${request.socket.localAddress}${path}`);
  response.setHeader('connection', 'close');
  const [, status, next] = /^\/(\d+)\/?(.*)$/.exec(path) ?? [];
  if (status !== undefined && next) return response.writeHead(Number(status), { location: `http://${next}` }).end();
  if (status !== undefined) return response.writeHead(Number(status)).end(secret);
  return response.end(path === '/token' ? '{"token":"t"}' : config);
});
/** Sends everybody where `leadsTo` says, or asks for a token from there. */
let leadsTo = '';
let how: 'redirect' | 'realm' = 'redirect';
const registry = createServer((request: IncomingMessage, response: ServerResponse) => {
  response.setHeader('connection', 'close');
  if (how === 'redirect') return response.writeHead(307, { location: leadsTo }).end();
  if (request.headers.authorization === 'Bearer t') return response.end(config);
  return response.writeHead(401, { 'www-authenticate': `Bearer realm="${leadsTo}"` }).end();
});
const portOf = async (server: ReturnType<typeof createServer>): Promise<number> => {
  await once(server.listen(0, '0.0.0.0'), 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
};
const [storagePort, registryPort] = [await portOf(storage), await portOf(registry)];

const names = { 'registry.example': '198.51.100.1', 'storage.example': '198.51.100.2', 'inside.example': '10.0.0.2' };
function writeHosts(more: Readonly<Record<string, string>> = {}): void {
  const lines = Object.entries({ ...names, ...more }).flatMap(([name, addresses]) =>
    addresses.split(' ').map((address) => `${address} ${name}\n`),
  );
  writeFileSync(hostsFile, `127.0.0.1 localhost\n${lines.join('')}`);
}

const results: Record<string, string> = {};
const claim = async (name: string, act: () => Promise<unknown>) => {
  reached = [];
  const outcome = await act().then(
    () => 'done',
    (error: unknown) => `failed: ${error instanceof Error ? error.message : error}`,
  );
  results[name] = `${outcome}; storage: ${reached.join(' ') || 'not asked'}`;
};
const leading = (from: string, to: string, belongs: (host: string) => boolean = () => false) => {
  leadsTo = `http://${to.replace('PORT', String(storagePort))}`;
  const client = registryClient({ belongs });
  return client.config(repositoryAt({ host: `${from}:${registryPort}` }), sha256(config));
};

writeHosts();
const places = [
  '127.0.0.1',
  '0.0.0.0',
  '2130706433',
  '[::ffff:127.0.0.1]',
  '[::1]',
  'localhost',
  '10.0.0.2',
  '169.254.169.254',
].concat(['inside.example', '198.51.100.2', 'storage.example']);
for (const from of ['198.51.100.1', 'registry.example', '10.0.0.1', '127.0.0.1']) {
  for (const to of places) await claim(`${from} > ${to}`, () => leading(from, `${to}:PORT/blob`));
}
await claim('a chain', () =>
  leading('registry.example', 'storage.example:PORT/302/10.0.0.2:PORT/blob'.replace(/PORT/g, String(storagePort))),
);
await claim('a chain from inside', () => leading('10.0.0.1', `198.51.100.2:PORT/302/10.0.0.2:${storagePort}/blob`));
await claim('configured', () => leading('registry.example', '10.0.0.2:PORT/blob', (host) => host === `10.0.0.2:${storagePort}`));
await claim('configured by name', () =>
  leading('registry.example', 'inside.example:PORT/blob', (host) => host.startsWith('inside.example')),
);

writeHosts({ 'both.example': '10.0.0.2 198.51.100.2', 'changing.example': '198.51.100.2' });
await claim('a name with two addresses', () => leading('registry.example', 'both.example:PORT/blob'));
await claim('a name before it changes', () => leading('registry.example', 'changing.example:PORT/blob'));
writeHosts({ 'changing.example': '127.0.0.1' });
await claim('a name after it changed', () => leading('registry.example', 'changing.example:PORT/blob'));

// A registry of the world that says for a while that it is here.
writeHosts({ 'registry.example': '127.0.0.1' });
await claim('a registry that moves inside', () => leading('registry.example', '10.0.0.2:PORT/blob'));
writeHosts({ 'two-faced.example': '10.0.0.1' });
await claim('a registry inside', () => leading('two-faced.example', '10.0.0.2:PORT/blob'));
writeHosts({ 'two-faced.example': '198.51.100.1' });
await claim('a registry that moves out', () => leading('two-faced.example', '10.0.0.2:PORT/blob'));
writeHosts();

for (const [from, to] of [
  ['10.0.0.1', '10.0.0.2'],
  ['10.0.0.1', '198.51.100.2'],
] as const) {
  for (const status of [400, 404, 403, 500, 503]) {
    await claim(`${from} > ${to} ${status}`, () => leading(from, `${to}:PORT/${status}`));
  }
}
how = 'realm';
for (const to of ['127.0.0.1', '10.0.0.2', '169.254.169.254', 'inside.example', 'storage.example']) {
  await claim(`realm: registry.example > ${to}`, () => leading('registry.example', `${to}:PORT/token`));
}
await claim('realm: 10.0.0.1 > 10.0.0.2', () => leading('10.0.0.1', '10.0.0.2:PORT/token'));
for (const status of [401, 500]) {
  await claim(`realm: 10.0.0.1 > 10.0.0.2 ${status}`, () => leading('10.0.0.1', `10.0.0.2:PORT/${status}`));
}

// An issuer's document names where its keys are.
const issuer = createServer((request, response) => {
  const own = `http://${request.headers.host}`;
  response.end(JSON.stringify({ issuer: own, jwks_uri: `https://169.254.169.254:${storagePort}/keys` }));
});
const issuerUrl = `http://127.0.0.1:${await portOf(issuer)}`;
let connections = 0;
storage.on('connection', () => connections++);
await claim('keys', async () => {
  const keys = createIssuerKeys(issuerUrl, { now: Date.now, log: { debug() {}, info() {}, warn() {}, error() {}, fatal() {} } });
  try {
    await keys({ alg: 'RS256', kid: 'x' }, { payload: '', signature: '' });
  } finally {
    if (connections > 0) reached.push('a connection');
  }
});
for (const server of [storage, registry, issuer]) server.close();
console.log(JSON.stringify({ results, secret }));
process.exit();
