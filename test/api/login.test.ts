import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { stringify } from 'yaml';
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

    it('of a provider have the roles that their groups have now, and none without the provider', async () => {
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
});
