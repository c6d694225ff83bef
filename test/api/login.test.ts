import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { parse, stringify } from 'yaml';
import { hashOfToken } from '../../src/domain/decision-proof.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { clientSecret, startLoginProvider } from '../support/login-provider.ts';
import { githubJobClaims, startOidcIssuer } from '../support/oidc-issuer.ts';
import { type OperatorListener, startOperators } from './support/operators.ts';

const tokens = { ann: `landfall_${'a'.repeat(40)}`, ben: `landfall_${'b'.repeat(40)}` };
const ann = { name: 'ann', token: 'env:ANN', roles: ['operate'] };
const ben = { name: 'ben', token: 'env:BEN', roles: ['view'] };

/** None of it asks Temporal. */
describe('logins', () => {
  const client = new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) });
  let folder: string;
  let env: Record<string, string>;
  const listeners: OperatorListener[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-login-'));
    env = { ANN: await hashOfToken(tokens.ann), BEN: await hashOfToken(tokens.ben), OIDC: clientSecret };
    env.KEY = 'one-key-of-logins-that-is-long-enough';
    env.NEW_KEY = 'another-key-of-logins-that-is-long-enough';
  });
  after(async () => {
    for (const listener of listeners) await listener.stop();
    await client.connection.close();
    await rm(folder, { recursive: true });
  });

  async function listen(configuration: object, port = 0): Promise<OperatorListener> {
    const listener = await startOperators(client, folder, stringify(configuration), { env, port });
    listeners.push(listener);
    return listener;
  }

  const cookieOf = async ({ url }: OperatorListener, token: string): Promise<string> => {
    const response = await fetch(`${url}/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
    });
    return response.headers.get('set-cookie')?.split(';')[0] ?? '';
  };

  /** Statuses of the API, and the way that the page leads. */
  const asked = async (api: OperatorListener, { token = '', cookie = '' }) => {
    const headers: Record<string, string> = cookie === '' ? {} : { Cookie: cookie };
    const { status, body } = await api.ask('/me', { ...(token !== '' && { token }), headers });
    return status === 200 ? body.roles : status;
  };

  describe('when the configuration was read again', () => {
    it('are asked for as soon as there is a token', async () => {
      const api = await listen({});
      assert.deepEqual(await asked(api, {}), ['view', 'operate', 'approve']);
      api.configure(stringify({ operators: [ann] }));
      assert.equal(await asked(api, {}), 401);
      assert.deepEqual(await asked(api, { token: tokens.ann }), ['view', 'operate']);
      assert.match(await (await fetch(`${api.url}/login`)).text(), /Token of an operator/);
    });

    it('end with the operator who is not named any more, and have the roles of now', async () => {
      const api = await listen({ operators: [ann, ben] });
      const cookies = { ann: await cookieOf(api, tokens.ann), ben: await cookieOf(api, tokens.ben) };
      assert.deepEqual(await asked(api, { cookie: cookies.ann }), ['view', 'operate']);
      api.configure(stringify({ operators: [{ ...ben, roles: ['approve'] }] }));
      for (const by of [{ token: tokens.ann }, { cookie: cookies.ann }]) assert.equal(await asked(api, by), 401);
      assert.equal(await cookieOf(api, tokens.ann), '');
      for (const by of [{ token: tokens.ben }, { cookie: cookies.ben }])
        assert.deepEqual(await asked(api, by), ['view', 'approve']);
    });

    it('from before login.notBefore, or of another login.key, are over', async () => {
      const configuration = (login: object) => ({ operators: [ann], login: { key: 'env:KEY', ...login } });
      const api = await listen(configuration({}));
      const cookie = await cookieOf(api, tokens.ann);
      api.configure(stringify(configuration({ notBefore: new Date(Date.now() + 60_000).toISOString() })));
      assert.equal(await asked(api, { cookie }), 401);
      api.configure(stringify(configuration({ key: 'env:NEW_KEY' })));
      assert.equal(await asked(api, { cookie }), 401);
      assert.deepEqual(await asked(api, { cookie: await cookieOf(api, tokens.ann) }), ['view', 'operate']);
    });

    it('of a provider have the roles that their groups have now, and none without that provider', async () => {
      const port = await reservePort();
      const url = `http://127.0.0.1:${port}`;
      const provider = await startLoginProvider(() => `${url}/login/oidc/callback`);
      provider.person = { preferred_username: 'sam', groups: ['sre'] };
      const oidc = { issuer: provider.issuer.url, clientId: 'landfall', clientSecret: 'env:OIDC', roles: { view: ['sre'] } };
      const configuration = (roles: object) => stringify({ operators: [ann], login: { url, oidc: { ...oidc, roles } } });
      const api = await listen({ operators: [ann] }, port);
      assert.equal((await fetch(`${url}/login/oidc`, { redirect: 'manual' })).status, 404);
      api.configure(configuration({ operate: ['sre'] }));
      const begun = await fetch(`${url}/login/oidc`, { redirect: 'manual' });
      const there = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' });
      const code = begun.headers.get('set-cookie')?.split(';')[0] ?? '';
      const back = await fetch(there.headers.get('location') ?? '', { redirect: 'manual', headers: { Cookie: code } });
      const cookie =
        back.headers
          .getSetCookie()
          .find((one) => one.startsWith('landfall='))
          ?.split(';')[0] ?? '';
      assert.deepEqual(await asked(api, { cookie }), ['view', 'operate']);
      api.configure(configuration({ operate: ['leads'], view: ['sre'] }));
      assert.deepEqual(await asked(api, { cookie }), ['view']);
      const elsewhere = { ...oidc, issuer: `${oidc.issuer}/another`, roles: { view: ['sre'] } };
      api.configure(stringify({ operators: [ann], login: { url, oidc: elsewhere } }));
      const refused = await api.ask('/me', { headers: { Cookie: cookie } });
      assert.equal(refused.status, 401);
      assert.match(
        JSON.stringify(refused.body),
        new RegExp(`sam has logged in at ${oidc.issuer}, which is not login.oidc.issuer`),
      );
      api.configure(configuration({ view: ['sre'] }));
      assert.deepEqual(await asked(api, { cookie }), ['view']);
      api.configure(stringify({ operators: [ann] }));
      assert.equal(await asked(api, { cookie }), 401);
      await provider.stop();
    });

    it('of jobs are those that login.jobs lets in now', async () => {
      const issuer = await startOidcIssuer();
      const audience = 'https://landfall.example';
      const api = await listen({ operators: [ann] });
      const token = await issuer.sign({ ...githubJobClaims, aud: audience });
      const statusOf = async () => (await api.ask('/builds/app:0123456789ab', { token })).status;
      assert.equal(await statusOf(), 401);
      const jobs = (said: string) =>
        api.configure(stringify({ operators: [ann], login: { jobs: { audience: said, issuer: issuer.url } } }));
      jobs(audience);
      assert.equal(await statusOf(), 403, 'a job, of no build of its own');
      jobs('https://other.example');
      assert.equal(await statusOf(), 401);
      jobs(audience);
      assert.equal(await statusOf(), 403);
      api.configure(stringify({ operators: [ann] }));
      assert.equal(await statusOf(), 401);
      await issuer.stop();
    });
  });

  describe('behind a proxy below a path', () => {
    const [documented = {}, proxied] = documentedProxy();
    const url = new URL(documented.login?.url ?? '');
    const browser = { origin: url.origin, 'content-type': 'application/x-www-form-urlencoded' };
    let api: OperatorListener;
    before(async () => {
      api = await listen({ ...documented, operators: [ann] });
    });

    /** What the proxy of the document passes on of what a browser sends. */
    const press = async (path: string, fields: Record<string, string>, headers: Record<string, string> = {}, to = api) => {
      const options = { method: 'POST', headers: { ...browser, ...proxied, ...headers }, agent: false };
      const sent = request(new URL(path, to.url), options).end(new URLSearchParams(fields).toString());
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      answer.resume();
      const { location, 'set-cookie': set = [] } = answer.headers;
      return [answer.statusCode, location, set[0]?.split(';')[0] ?? ''] as const;
    };

    it('work as the document says, with what browsers say of their page and without', async () => {
      for (const said of [{}, { 'sec-fetch-site': 'same-origin' }]) {
        const [status, location, cookie] = await press('/login', { token: tokens.ann, return: '/rollouts' }, said);
        assert.deepEqual([status, location], [303, '/landfall/rollouts']);
        assert.match(cookie, /^__Host-landfall=./);
        assert.deepEqual((await press('/login', { token: 'nobody’s' }, said)).slice(0, 2), [303, '/landfall/login?failed=token']);
        const theme = await press('/theme', { theme: 'dark', from: '/record' }, { cookie, ...said });
        assert.deepEqual(theme.slice(0, 2), [303, '/landfall/record']);
        assert.deepEqual((await press('/logout', {}, { cookie, ...said })).slice(0, 2), [303, '/landfall/']);
      }
    });

    it('lead below it, too, where only the proxy says the path', async () => {
      const kept = await listen({ listen: { ...documented.listen, operatorNames: [url.hostname] }, operators: [ann] });
      const headers = { host: url.host };
      const [status, location] = await press('/login', { token: tokens.ann, return: '/record' }, headers, kept);
      assert.deepEqual([status, location], [303, '/landfall/record']);
      // Not by a proxy that nobody trusts.
      const open = await listen({ listen: { operatorNames: [url.hostname] }, operators: [ann] });
      assert.equal((await press('/login', { token: tokens.ann, return: '/record' }, headers, open))[1], '/record');
    });

    it('are nobody else’s page’s to make, for buttons as for logins', async () => {
      for (const path of ['/login', '/logout', '/theme'])
        for (const [headers, wanted] of [
          [{ 'sec-fetch-site': 'cross-site' }, 403],
          [{ 'sec-fetch-site': 'same-site' }, 403],
          [{ origin: 'https://tools.example:444' }, 403],
          [{ origin: 'https://evil.example' }, 421],
          [{ origin: 'null' }, 421],
        ] as const)
          assert.equal((await press(path, { token: tokens.ann }, headers))[0], wanted, `${path} ${JSON.stringify(headers)}`);
    });

    it('are asked for by who is passed on, where there are none', async () => {
      const open = await listen(documented);
      const ask = (headers: Record<string, string>) => open.ask('/me', { headers });
      assert.equal((await ask({})).status, 200);
      assert.equal((await ask({ 'X-Forwarded-Prefix': '/landfall' })).status, 401);
    });
  });
});

interface DocumentedConfiguration {
  readonly listen?: object;
  readonly login?: { readonly url: string };
}

/** The configuration of docs/page.md, and the headers that its proxy sets. */
function documentedProxy(): [DocumentedConfiguration, Record<string, string>] {
  const text = readFileSync(new URL('../../docs/page.md', import.meta.url), 'utf8');
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(text) ?? [];
  const [, nginx = ''] = /```nginx\n(.*?)```/s.exec(text) ?? [];
  const set = [...nginx.matchAll(/proxy_set_header (\S+) (\S+);/g)].map(([, name = '', value = '']) => [
    name.toLowerCase(),
    value,
  ]);
  assert.ok(set.length > 0);
  return [parse(yaml) as DocumentedConfiguration, Object.fromEntries(set) as Record<string, string>];
}
