import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Refusal } from '../../../src/domain/failures.ts';
import { useProxies } from '../../../src/platform/http/client.ts';
import { isSameSite } from '../../../src/platform/registry/site.ts';
import { startForwardProxy } from '../../support/forward-proxy.ts';
import { startHttpServer } from '../../support/http-server.ts';
import { sha256 } from '../../support/images.ts';
import { registryClient, repositoryAt, tagOf } from '../../support/registry-client.ts';

const config = '{"os":"linux","architecture":"amd64"}';
const inside = fileURLToPath(new URL('./redirects-inside.ts', import.meta.url));
const refused = /^failed: .*it leads to a (?:private|loopback|link-local) address.*; storage: not asked$/;

describe('where a registry sends Landfall', () => {
  describe('by its redirects and challenges', function () {
    this.timeout(60_000);
    let results: Record<string, string>;
    let secret: string;

    before(async function () {
      // Only root makes namespaces, in which this machine has addresses of every kind.
      if (process.platform !== 'linux' || process.getuid?.() !== 0) this.skip();
      const folder = await mkdtemp(join(tmpdir(), 'landfall-redirects-'));
      try {
        const hosts = join(folder, 'hosts');
        await writeFile(hosts, '127.0.0.1 localhost\n');
        const addresses = ['198.51.100.1', '198.51.100.2', '10.0.0.1', '10.0.0.2', '169.254.169.254'];
        const network = addresses.map((address) => `ip addr add ${address}/32 dev lo`).join(' && ');
        const setUp = `ip link set lo up && ${network} && mount --bind "$1" /etc/hosts && exec "$2" "$3" "$1"`;
        const words = ['--net', '--mount', 'sh', '-c', setUp, 'sh', hosts, process.execPath, inside];
        const { stdout } = await promisify(execFile)('unshare', words, { env: { PATH: process.env.PATH } });
        ({ results, secret } = JSON.parse(stdout));
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    const from = (registry: string) =>
      Object.entries(results).flatMap(([claim, outcome]) =>
        claim.startsWith(`${registry} > `) && !/ \d{3}$/.test(claim)
          ? [[claim.slice(registry.length + 3), outcome] as const]
          : [],
      );

    it('is never inside, where the registry is outside, whatever the address is called', () => {
      for (const registry of ['198.51.100.1', 'registry.example']) {
        for (const [to, outcome] of from(registry)) {
          if (['198.51.100.2', 'storage.example'].includes(to)) assert.equal(outcome, 'done; storage: 198.51.100.2/blob');
          else assert.match(outcome, refused, `${registry} > ${to}`);
        }
      }
    });

    it('is where the registry is itself, and outside; never this machine from another one, nor where clouds give credentials', () => {
      const reachable = { '10.0.0.1': /^(?:10\.|inside|198|storage)/, '127.0.0.1': /^(?!169)/ };
      for (const [registry, fit] of Object.entries(reachable)) {
        for (const [to, outcome] of from(registry)) {
          // There nobody listens by IPv6.
          if (fit.test(to) && to !== '[::1]') assert.match(outcome, /^done; storage: \S+\/blob$/, `${registry} > ${to}`);
          else
            assert.match(outcome, to === '[::1]' && registry === '127.0.0.1' ? /ECONNREFUSED/ : refused, `${registry} > ${to}`);
        }
      }
    });

    it('is found out at each hop, for the address that is connected to, and again when a name has another', () => {
      assert.match(results['a chain'] ?? '', /leads to a private address.*; storage: 198\.51\.100\.2\S*$/);
      assert.match(results['a chain from inside'] ?? '', /leads to a private address.*; storage: 198\.51\.100\.2\S*$/);
      assert.equal(results['a name with two addresses'], 'done; storage: 198.51.100.2/blob');
      assert.equal(results['a name before it changes'], 'done; storage: 198.51.100.2/blob');
      assert.match(results['a name after it changed'] ?? '', refused);
    });

    it('does not come nearer because a registry of the world says that it is here', () => {
      assert.match(results['a registry that moves inside'] ?? '', refused);
      assert.equal(results['a registry inside'], 'done; storage: 10.0.0.2/blob');
      assert.match(results['a registry that moves out'] ?? '', refused);
    });

    it('is inside where the configuration says that the host belongs to it', () => {
      assert.equal(results.configured, 'done; storage: 10.0.0.2/blob');
      assert.equal(results['configured by name'], 'done; storage: 10.0.0.2/blob');
    });

    it('is the same for its token server, and for the keys of a token issuer', () => {
      for (const to of ['127.0.0.1', '10.0.0.2', '169.254.169.254', 'inside.example']) {
        assert.match(results[`realm: registry.example > ${to}`] ?? '', refused, to);
      }
      assert.equal(results['realm: registry.example > storage.example'], 'done; storage: 198.51.100.2/token');
      assert.equal(results['realm: 10.0.0.1 > 10.0.0.2'], 'done; storage: 10.0.0.2/token');
      assert.match(results.keys ?? '', /link-local address.*; storage: not asked$/);
    });

    it('is not quoted where it is inside', () => {
      const answered = Object.entries(results).filter(([claim]) => / \d{3}$/.test(claim));
      assert.equal(answered.length, 12);
      for (const [claim, outcome] of answered) {
        const [status = ''] = claim.split(' ').slice(-1);
        assert.match(outcome, new RegExp(`^failed: .*${status}`), claim);
        // What storage in the world says helps whoever reads it.
        const isQuoted = claim.includes('> 198.51.100.2') && !['403'].includes(status);
        assert.equal(outcome.includes(secret), isQuoted, `${claim}: ${outcome}`);
      }
    });
  });

  it('is nothing inside by its looks where a proxy resolves the names, unless the registry is there by its own', async () => {
    const storage = await startHttpServer((_, response) => response.end(config));
    const [, port = ''] = storage.host.split(':');
    let location = '';
    const registry = await startHttpServer((_, response) => response.writeHead(307, { location }).end());
    const names = { 'registry.example.test': registry.host, 'storage.example.test': storage.host };
    const proxy = await startForwardProxy((host) => new Map(Object.entries(names)).get(host) ?? host);
    const ask = (host: string, to: string) => {
      location = `http://${to}/blob`;
      return registryClient().config(repositoryAt({ host }), sha256(config));
    };
    useProxies({ HTTP_PROXY: proxy.url });
    try {
      for (const to of [`127.0.0.1:${port}`, `localhost:${port}`, '169.254.169.254', '[::ffff:10.0.0.1]', '2130706433']) {
        await assert.rejects(ask('registry.example.test', to), /it leads to a (?:loopback|link-local|private) address/, to);
      }
      assert.equal(storage.requests.length, 0);
      await ask('registry.example.test', 'storage.example.test');
      await ask(registry.host, storage.host);
      assert.equal(storage.requests.length, 2);
    } finally {
      useProxies({});
      for (const each of [proxy, registry, storage]) await each.stop();
    }
  });

  it('is never another host without TLS, unless that host is configured so', async () => {
    const storage = await startHttpServer((_, response) => response.end(config));
    const port = new URL(`http://${storage.host}`).port;
    let location = '';
    const registry = await startHttpServer((_, response) => response.writeHead(307, { location }).end());
    const ask = (plain: readonly string[], to: string) => {
      location = `http://${to}:${port}/blob`;
      return registryClient({ plainHttp: (host) => plain.includes(host) }).config(repositoryAt(registry), sha256(config));
    };
    try {
      for (const to of ['localhost', '127.0.0.2', '[::1]']) {
        const message = new RegExp(
          `redirects to http://.*expected an encrypted address, or plainHttp for .*:${port} under registries`,
        );
        await assert.rejects(ask([registry.host], to), { message });
      }
      assert.equal(storage.requests.length, 0);
      await ask([registry.host], '127.0.0.1');
      await ask([registry.host, `localhost:${port}`], 'localhost');
      assert.equal(storage.requests.length, 2);
    } finally {
      await registry.stop();
      await storage.stop();
    }
  });

  it('with credentials, is its own site or a host that is configured for it; without any, somewhere else too', async () => {
    const challenge = 'Bearer realm="https://tokens.invalid/token",service="x"';
    const registry = await startHttpServer((_, response) => response.writeHead(401, { 'www-authenticate': challenge }).end());
    const ask = (options: Parameters<typeof registryClient>[0]) =>
      registryClient(options)
        .resolve(repositoryAt(registry), tagOf('latest'))
        .then(
          () => assert.fail('expected no token'),
          (error: unknown) => error,
        );
    const credentials = async () => ({ username: 'ann', password: 'let-ann-in' });
    try {
      const error = await ask({ credentials });
      assert.ok(error instanceof Refusal && error.type === 'CredentialsRefused', String(error));
      assert.match(
        error.message,
        /sent to tokens\.invalid, which is on another site; nothing was sent\..*hosts: \[tokens\.invalid\]/,
      );
      // No name server knows it, so being asked fails, and says so.
      const belongs = (host: string, of: string) => host === 'tokens.invalid' && of === registry.host;
      for (const options of [{}, { credentials, belongs }]) {
        assert.match(String(await ask(options)), /GET https:\/\/tokens\.invalid\/token failed/);
      }
    } finally {
      await registry.stop();
    }
  });
});

describe('two hosts', () => {
  it('are of one site by their names, and not where many share the end of a name', () => {
    const same = [
      ['registry-1.docker.io', 'auth.docker.io'],
      ['registry.gitlab.com', 'gitlab.com'],
      ['docker.elastic.co', 'docker-auth.elastic.co'],
      ['registry.digitalocean.com', 'api.digitalocean.com'],
      ['rg.fr-par.scw.cloud', 'api.scaleway.com'],
      ['registry.cn-hangzhou.aliyuncs.com', 'dockerauth.cn-hangzhou.aliyuncs.com'],
      ['registry.example.co.uk', 'gitlab.example.co.uk'],
      ['registry.lan', 'gitlab.lan'],
      ['team.azurecr.io', 'team.azurecr.io'],
      ['10.0.0.1', '10.0.0.1'],
    ] as const;
    const others = [
      ['ghcr.io', 'evil.io'],
      ['registry.example.com', 'example.org'],
      ['registry.example.com', 'evil-example.com'],
      ['example.co.uk', 'evil.co.uk'],
      ['example.com.au', 'evil.com.au'],
      ['team.azurecr.io', 'evil.azurecr.io'],
      ['1.dkr.ecr.eu-west-1.amazonaws.com', '2.dkr.ecr.eu-west-1.amazonaws.com'],
      ['team.github.io', 'evil.github.io'],
      ['10.0.0.1', '11.0.0.1'],
      ['registry.internal', 'registry.external'],
      ['localhost', 'evil.localhost'],
    ] as const;
    for (const [one, other] of same) assert.ok(isSameSite(one, other) && isSameSite(other, one), `${one} ${other}`);
    for (const [one, other] of others) assert.ok(!isSameSite(one, other) && !isSameSite(other, one), `${one} ${other}`);
  });
});
