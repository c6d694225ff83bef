import assert from 'node:assert/strict';
import { Refusal } from '../../../src/domain/failures.ts';
import { startHttpServer } from '../../support/http-server.ts';
import { pushImage, sha256 } from '../../support/images.ts';
import { type Registry, registryAccount, startRegistry } from '../../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../../support/registry-client.ts';
import { startTokenServer, type TokenServer } from '../../support/token-server.ts';

const latest = tagOf('latest');
const account = { username: registryAccount.user, password: registryAccount.password };

/** Checks that access is refused, and gives the message. */
async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    (value) => assert.fail(`expected a refusal, found ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Refusal, String(error));
  assert.equal(error.type, 'CredentialsRefused');
  return error.message;
}

describe('a registry that asks for a password', () => {
  let registry: Registry;
  before(async () => {
    registry = await startRegistry({ basicAuth: true });
    await pushImage(registry, 'team/app', 'latest');
  });
  after(() => registry.stop());

  it('lets the configured account in', async () => {
    const asked: string[] = [];
    const client = registryClient({
      credentials: async (host) => {
        asked.push(host);
        return account;
      },
    });
    assert.match((await client.resolve(repositoryAt(registry), latest)) ?? '', /^sha256:/);
    assert.deepEqual(await client.tags(repositoryAt(registry)), ['latest']);
    assert.deepEqual(asked, [registry.host], 'expected the credentials to be remembered');
  });

  it('refuses a wrong password, naming registry, account and setting, but never the password', async () => {
    const client = registryClient({ credentials: async () => ({ username: 'landfall', password: 'a-wrong-secret' }) });
    const message = await refusal(client.resolve(repositoryAt(registry), latest));
    assert.ok(message.startsWith(`${registry.host} refuses access to team/app as 'landfall'`), message);
    assert.match(message, /registries: 127\.0\.0\.1:\d+ in landfall\.yaml/);
    assert.ok(!message.includes('a-wrong-secret'));
  });

  it('refuses anybody without credentials, and says that none are configured', async () => {
    assert.match(await refusal(registryClient().resolve(repositoryAt(registry), latest)), /no credentials for it are configured/);
  });

  it('is asked again with new credentials once they were changed', async () => {
    let now = Date.now();
    let password = 'an-old-secret';
    const client = registryClient({ credentials: async () => ({ ...account, password }), now: () => now });
    await refusal(client.resolve(repositoryAt(registry), latest));
    password = account.password;
    assert.match((await client.resolve(repositoryAt(registry), latest)) ?? '', /^sha256:/);
    now += 3_600_000;
    password = 'revoked';
    await refusal(client.resolve(repositoryAt(registry), latest));
  });
});

describe('a registry with a token server', () => {
  let tokens: TokenServer;
  let registry: Registry;
  before(async () => {
    tokens = await startTokenServer({ account: { user: 'ann', password: 'let-ann-in' }, expiresInSeconds: 120 });
    registry = await startRegistry({ tokenAuth: tokens.auth });
    const pusher = { ...registry, authorization: `Bearer ${tokens.issue('repository:team/app:pull,push')}` };
    await pushImage(pusher, 'team/app', 'latest');
  });
  after(async () => {
    await registry.stop();
    await tokens.stop();
  });

  it('takes one token for many requests, until shortly before the token expires', async () => {
    let now = Date.now();
    const client = registryClient({ credentials: async () => ({ username: 'ann', password: 'let-ann-in' }), now: () => now });
    const before = tokens.requests.length;
    await Promise.all([1, 2, 3, 4].map(() => client.resolve(repositoryAt(registry), latest)));
    await client.manifest(repositoryAt(registry), latest);
    assert.deepEqual(tokens.requests.slice(before), ['repository:team/app:pull by ann']);
    now += 105_000;
    await client.manifest(repositoryAt(registry), latest);
    assert.equal(tokens.requests.length, before + 1);
    now += 10_000;
    await client.manifest(repositoryAt(registry), latest);
    assert.equal(tokens.requests.length, before + 2);
  });

  it('takes an identity token in place of a password', async () => {
    const client = registryClient({ credentials: async () => ({ username: '<token>', password: 'let-ann-in' }) });
    assert.match((await client.resolve(repositoryAt(registry), latest)) ?? '', /^sha256:/);
    assert.equal(tokens.requests.at(-1), 'repository:team/app:pull by <token>');
  });

  it('is asked for a new token when it refuses the remembered one', async () => {
    let refuse = 0;
    const client = registryClient({ credentials: async () => ({ username: 'ann', password: 'let-ann-in' }) });
    const front = await startHttpServer(async (request, response) => {
      const authorization = refuse-- > 0 ? undefined : request.headers.authorization;
      const answer = await fetch(`${registry.url}${request.url}`, {
        method: request.method ?? 'GET',
        headers: { accept: request.headers.accept ?? '', ...(authorization === undefined ? {} : { authorization }) },
      });
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    });
    try {
      await client.manifest(repositoryAt(front), latest);
      const before = tokens.requests.length;
      refuse = 1;
      assert.equal((await client.manifest(repositoryAt(front), latest))?.kind, 'manifest');
      assert.equal(tokens.requests.length, before + 1);
    } finally {
      await front.stop();
    }
  });

  it('is asked for a new token after it denied access, because access may have been given', async () => {
    let isDenied = true;
    const client = registryClient({ credentials: async () => ({ username: 'ann', password: 'let-ann-in' }) });
    const front = await startHttpServer(async (request, response) => {
      const { accept = '', authorization } = request.headers;
      if (isDenied && authorization !== undefined) return response.writeHead(403).end();
      const headers = { accept, ...(authorization === undefined ? {} : { authorization }) };
      const answer = await fetch(`${registry.url}${request.url}`, { method: request.method ?? 'GET', headers });
      return response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    });
    try {
      const before = tokens.requests.length;
      await refusal(client.manifest(repositoryAt(front), latest));
      isDenied = false;
      assert.equal((await client.manifest(repositoryAt(front), latest))?.kind, 'manifest');
      assert.equal(tokens.requests.length, before + 2);
    } finally {
      await front.stop();
    }
  });

  it('refuses whom the token server refuses, and says which server that was', async () => {
    const client = registryClient({ credentials: async () => ({ username: 'ann', password: 'wrong' }) });
    const message = await refusal(client.resolve(repositoryAt(registry), latest));
    assert.ok(message.includes(new URL(tokens.auth.realm).host), message);
    assert.match(await refusal(registryClient().resolve(repositoryAt(registry), latest)), /no credentials for it are configured/);
  });
});

describe('a token server that gives tokens to anybody', () => {
  it('lets anonymous clients in', async () => {
    const tokens = await startTokenServer();
    const registry = await startRegistry({ tokenAuth: tokens.auth });
    try {
      await pushImage(
        { ...registry, authorization: `Bearer ${tokens.issue('repository:team/app:pull,push')}` },
        'team/app',
        'latest',
      );
      assert.match((await registryClient().resolve(repositoryAt(registry), latest)) ?? '', /^sha256:/);
      assert.deepEqual(tokens.requests, ['repository:team/app:pull by anonymous']);
    } finally {
      await registry.stop();
      await tokens.stop();
    }
  });
});

describe('credentials', () => {
  const secret = async () => ({ username: 'ann', password: 'let-ann-in' });

  it('are never sent to a token server without TLS that is neither configured so nor beside the registry', async () => {
    const thief = await startHttpServer((_, response) => response.end('{"token":"stolen"}'));
    const realm = `http://localhost:${new URL(`http://${thief.host}`).port}/token`;
    const registry = await startHttpServer((_, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="x"` }).end();
    });
    try {
      const client = registryClient({ credentials: secret, plainHttp: (host) => host === registry.host });
      assert.match(await refusal(client.resolve(repositoryAt(registry), latest)), /expected an https address; nothing was sent/);
      assert.equal(thief.requests.length, 0);
    } finally {
      await registry.stop();
      await thief.stop();
    }
  });

  it('do not follow a redirect to another host', async () => {
    const config = '{"os":"linux","architecture":"amd64"}';
    const storage = await startHttpServer((_, response) => response.end(config));
    const registry = await startHttpServer((request, response) => {
      if (request.headers.authorization === undefined) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      else response.writeHead(307, { location: `http://${storage.host}/blob?signature=secret` }).end();
    });
    try {
      const client = registryClient({ credentials: secret });
      const found = await client.config(repositoryAt(registry), sha256(config));
      assert.equal(found?.architecture, 'amd64');
      assert.equal(storage.requests.length, 1);
      assert.equal(storage.requests[0]?.headers.authorization, undefined);
    } finally {
      await registry.stop();
      await storage.stop();
    }
  });

  it('do not go where storage would have them, to which the registry redirects', async () => {
    const thief = await startHttpServer((_, response) => response.end('{"token":"stolen"}'));
    for (const challenge of [`Bearer realm="http://${thief.host}/token",service="s"`, 'Basic realm="s"']) {
      for (const status of [401, 403]) {
        const storage = await startHttpServer((_, response) =>
          response.writeHead(status, { 'www-authenticate': challenge }).end(),
        );
        const registry = await startHttpServer((_, response) =>
          response.writeHead(307, { location: `http://${storage.host}/bucket/x` }).end(),
        );
        try {
          const client = registryClient({ credentials: secret });
          await assert.rejects(client.manifest(repositoryAt(registry), latest), (error) => {
            assert.ok(error instanceof Error && !(error instanceof Refusal), String(error));
            assert.match(error.message, /is redirected to http:\S+, which answered with 40[13]: expected storage that needs no/);
            return true;
          });
          assert.deepEqual([registry.requests.length, storage.requests.length, thief.requests.length], [1, 1, 0]);
          assert.equal(storage.requests[0]?.headers.authorization, undefined);
        } finally {
          await registry.stop();
          await storage.stop();
        }
      }
    }
    await thief.stop();
  });

  it('are sent with the name of the registry as the service, where it names none and its token server insists', async () => {
    const server = await startHttpServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://any');
      if (pathname === '/token') {
        if (!searchParams.has('service')) return response.writeHead(400).end('service is required');
        return response.end(JSON.stringify({ token: `for ${searchParams.get('service')}` }));
      }
      if (request.headers.authorization === `Bearer for ${request.headers.host}`) return response.end('{"tags":["latest"]}');
      const challenge = `Bearer realm="http://${request.headers.host}/token"`;
      return response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    try {
      assert.deepEqual(await registryClient({ credentials: secret }).tags(repositoryAt(server)), ['latest']);
    } finally {
      await server.stop();
    }
  });

  it('are refused to a registry that asks for a kind of authentication that nobody here speaks', async () => {
    const registry = await startHttpServer((_, response) => response.writeHead(401, { 'www-authenticate': 'Negotiate' }).end());
    try {
      const message = await refusal(registryClient({ credentials: secret }).resolve(repositoryAt(registry), latest));
      assert.match(message, /expected Bearer or Basic in WWW-Authenticate, found 'Negotiate'/);
    } finally {
      await registry.stop();
    }
  });
});
