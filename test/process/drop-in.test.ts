import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Environment } from '../../src/domain/environment.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { startService } from '../../src/process/service.ts';
import { product } from '../../src/product.ts';
import { quayDropIn } from '../../src/sources/quay/index.ts';
import { landfall as command } from '../cli/command.ts';
import { type Authority, createAuthority } from '../support/certificates.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { type RunningLandfall, startLandfall } from '../support/landfall.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const secret = 'canary-drop-in-4471';

/** The example of quay-github-actions-dispatch, as it stands among the payloads. */
async function exampleBuild(): Promise<Record<string, unknown>> {
  const vector = new URL('../payloads/quay/build-success.json', import.meta.url);
  return JSON.parse(await readFile(vector, 'utf8')).body;
}

describe('in place of quay-github-actions-dispatch', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let github: GitHub;
  let authority: Authority;
  let folder: string;
  let landfall: RunningLandfall;
  let port: number;
  let quay: Certificate;

  before(async () => {
    [temporal, github, authority] = await Promise.all([startNamespace(), startGitHub(), createAuthority()]);
    await github.createRepository('your_github/your_repo_name');
    folder = await mkdtemp(join(tmpdir(), 'landfall-drop-in-'));
    const certs = join(folder, 'certs');
    await mkdir(certs);
    const server = await authority.issue();
    await writeFile(join(certs, 'server.pem'), server.cert);
    await writeFile(join(certs, 'server.key'), server.key);
    quay = await authority.issue({ name: '*.quay.io' });
    port = await reservePort();
    landfall = await startLandfall(folder, {
      GH_TOKEN: token,
      DEBUG: 'true',
      GITHUB_API_URL: github.url,
      LANDFALL_CERTS: certs,
      LANDFALL_CLIENT_CA: authority.ca,
      LANDFALL_SECRET: secret,
      LANDFALL_WEBHOOKS: `127.0.0.1:${port}`,
      LANDFALL_OPERATORS: `127.0.0.1:${await reservePort()}`,
      ...temporal.env,
    });
  });
  after(async () => {
    await landfall?.stop();
    await Promise.all([temporal.stop(), github.stop()]);
    for (const each of [folder, authority.folder]) await rm(each, { recursive: true, force: true });
  });

  /** What Quay sends, with a real handshake. @returns the status; undefined where the handshake itself failed */
  async function send(
    build: Record<string, unknown>,
    certificate: Certificate | undefined,
    path = `/incoming/${secret}`,
  ): Promise<number | undefined> {
    const sent = request(`https://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      ca: await readFile(authority.ca),
      agent: false,
      ...certificate,
    });
    sent.end(JSON.stringify(build));
    try {
      const [response] = await once(sent, 'response');
      await text(response);
      return response.statusCode;
    } catch {
      return undefined;
    }
  }
  const dispatched = () => github.repository('your_github/your_repo_name').dispatches;
  const untilEnded = (build: string) =>
    eventually(`the end of ${build}`, async () => {
      for await (const { status, workflowId } of temporal.client.workflow.list({ query: 'WorkflowType = "passThrough"' })) {
        if (workflowId.endsWith(build)) return status.name !== 'RUNNING';
      }
      return false;
    });
  const event = { eventType: 'QUAY_BUILD_SUCCESS', payload: { text: '42d4a62' } };

  it('shows its token to none of the programs that it starts, by what the system tells of it', async function () {
    if (process.platform !== 'linux') this.skip();
    const shown = await readFile(`/proc/${landfall.pid}/environ`, 'utf8');
    assert.match(shown, /(?:^|\0)PATH=/);
    assert.ok(!shown.includes(token) && !/GH_TOKEN|LANDFALL_/.test(shown), shown);
  });

  it('passes a build of three tags on once, and once again for the next build', async () => {
    const build = { ...(await exampleBuild()), build_id: 'first' };
    assert.equal(await send(build, quay), 202);
    await eventually('the event', async () => dispatched().length > 0);
    // Quay sends again what it has no answer to.
    assert.equal(await send(build, quay), 200);
    assert.equal(await send({ ...build, build_id: 'second' }, quay), 202);
    await untilEnded('second');
    assert.deepEqual(dispatched(), [event, event]);
    assert.equal(github.requests.length, 2);
  });

  it("passes Quay's test notification on each time, though its build is always the same", async () => {
    const before = dispatched().length;
    for (const times of [1, 2]) {
      assert.equal(await send(await exampleBuild(), quay), 202);
      await eventually(`event ${times}`, async () => dispatched().length === before + times);
    }
  });

  it('follows every tag', async () => {
    const before = dispatched().length;
    assert.equal(await send({ ...(await exampleBuild()), build_id: 'branch', docker_tags: ['feature_x-1'] }, quay), 202);
    await untilEnded('branch');
    assert.equal(dispatched().length, before + 1);
  });

  it('takes a build without a commit, sends nothing, and goes on', async () => {
    const before = dispatched().length;
    const build = { ...(await exampleBuild()), build_id: 'no-commit', trigger_metadata: {} };
    assert.equal(await send(build, quay), 202);
    await untilEnded('no-commit');
    assert.equal(dispatched().length, before);
  });

  it('refuses a sender without certificate, with another name, with a chain of its own, and with the right certificate alone', async () => {
    const before = dispatched().length;
    const forged = await selfSigned(folder, '*.quay.io');
    const other = await authority.issue({ name: 'evil.example.org' });
    const build = { ...(await exampleBuild()), build_id: 'forged' };
    for (const certificate of [undefined, other, forged]) {
      const status = await send(build, certificate);
      assert.ok(status === 401 || status === undefined, `${status}`);
    }
    // Any account of quay.io has this certificate, and writes what body it likes.
    for (const path of ['/incoming', '/incoming/', '/incoming/guessed'])
      assert.notEqual(await send(build, quay, path), 202, path);
    assert.equal(dispatched().length, before);
    assert.ok(await notStarted('forged'));
  });

  async function notStarted(build: string): Promise<boolean> {
    for await (const { workflowId } of temporal.client.workflow.list()) if (workflowId.includes(build)) return false;
    return true;
  }

  it('says what it does, writes no configuration, and never shows the token', () => {
    assert.match(landfall.output(), /in place of quay-github-actions-dispatch/);
    assert.match(landfall.output(), new RegExp(`webhooks +https://127\\.0\\.0\\.1:${port} \\(/webhook/quay, /incoming\\)`));
    assert.ok(!existsSync(join(folder, 'landfall.yaml')));
    for (const hidden of [token, secret]) assert.ok(!landfall.output().includes(hidden));
  });
});

async function selfSigned(folder: string, name: string): Promise<Certificate> {
  const [key, cert] = [join(folder, 'forged.key'), join(folder, 'forged.pem')];
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  execFileSync('openssl', [...words, '-keyout', key, '-out', cert, ...names], { stdio: ['ignore', 'ignore', 'pipe'] });
  return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
}

describe('the configuration in place of a file', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-certs-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const made = (env: Environment): { listen: Record<string, unknown>; [section: string]: unknown } | undefined => {
    const found = quayDropIn(env)?.text;
    return found === undefined ? undefined : JSON.parse(found);
  };

  it('is made only where there is a token and a certificate', () => {
    assert.equal(made({ LANDFALL_CERTS: folder }), undefined);
    assert.equal(made({ LANDFALL_CERTS: folder, GH_TOKEN: '' }), undefined);
    assert.ok(made({ LANDFALL_CERTS: folder, GH_TOKEN: 't' }));
  });

  it('is made for a folder that is named and not there, so that this is said, and no file is written in its place', () => {
    const missing = join(folder, 'missing');
    assert.equal(made({ LANDFALL_CERTS: missing, GH_TOKEN: 't', CRT: 'a.pem' })?.listen.tls, missing);
  });

  it('listens on port 443 of every address, with the certificate of the folder, and takes the token by reference', () => {
    const { listen, ...others } = made({ LANDFALL_CERTS: folder, GH_TOKEN: 'canary' }) ?? { listen: {} };
    assert.deepEqual(listen, { webhooks: '0.0.0.0:443', tls: folder });
    assert.deepEqual(others.forge, { github: { token: 'env:GH_TOKEN' } });
    assert.deepEqual(others.receivers, { quay: { certificate: {} } });
    assert.equal(others.search, 'off');
    assert.ok(!JSON.stringify(others).includes('canary'));
  });

  it('says who may tell of builds by a secret, or a list of owners, and is refused without', async () => {
    const env = { LANDFALL_CERTS: folder, GH_TOKEN: 'canary' };
    const receivers = (more: Environment) => made({ ...env, ...more })?.receivers;
    assert.deepEqual(receivers({ LANDFALL_SECRET: 'canary' }), { quay: { secrets: 'env:LANDFALL_SECRET', certificate: {} } });
    assert.deepEqual(receivers({ LANDFALL_OWNERS: 'team, other' }), { quay: { certificate: { owners: ['team', 'other'] } } });
    assert.match(quayDropIn({ ...env, LANDFALL_OWNERS: 'team' })?.warning ?? '', /Every account of quay\.io .*LANDFALL_SECRET/);
    assert.equal(quayDropIn({ ...env, LANDFALL_SECRET: 'canary' })?.warning, undefined);
    const check = (more: Environment) => command(['config', 'check'], { cwd: folder, env: { ...env, ...more } });
    const refused = await check({});
    assert.equal(refused.exitCode, 1);
    assert.match(
      refused.stdout,
      /receivers\.quay\.certificate: expected secrets beside it: .*set LANDFALL_SECRET \(or LANDFALL_OWNERS\)/,
    );
    assert.equal((await check({ LANDFALL_SECRET: 'canary' })).exitCode, 0);
    assert.equal((await check({ LANDFALL_OWNERS: 'team' })).exitCode, 0);
  });

  it('takes the files CRT and KEY, and those that Let’s Encrypt names', async () => {
    assert.deepEqual(made({ GH_TOKEN: 't', CRT: '/a/b.crt', KEY: '/a/b.key' })?.listen.tls, {
      cert: '/a/b.crt',
      key: '/a/b.key',
    });
    const [cert, key] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')];
    for (const file of [cert, key]) await writeFile(file, '');
    assert.deepEqual(made({ GH_TOKEN: 't', LANDFALL_CERTS: folder })?.listen.tls, { cert, key });
  });
});

describe('in place of kuberollouttrigger', () => {
  it('does not start without all of its variables, or without a cluster, and writes no configuration', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-drop-in-'));
    const file = join(folder, 'landfall.yaml');
    const two = { GITHUB_OIDC_AUDIENCE: 'here', ALLOWED_IMAGE_PREFIX: 'ghcr.io/team/', KUBECONFIG: join(folder, 'none') };
    try {
      await assert.rejects(startService(file, two, product), /but GITHUB_ALLOWED_ORG is not set: set all of them, or none/);
      const three = { ...two, GITHUB_ALLOWED_ORG: 'team' };
      await assert.rejects(
        startService(file, three, product),
        /expected a kubeconfig, found none at .*none, .*let KUBECONFIG name one/,
      );
      assert.ok(!existsSync(file));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
