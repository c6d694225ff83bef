import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock } from 'node:test';
import { ApplicationFailure } from '@temporalio/common';
import { createDecisions } from '../../src/activities/decisions.ts';
import { problemTypes } from '../../src/api/operators/problems.ts';
import type { FoundBuilds } from '../../src/contracts/activities/builds.ts';
import type { BuildSearch } from '../../src/contracts/messages.ts';
import { rolloutStartOptions } from '../../src/contracts/start-options.ts';
import { hashOfToken } from '../../src/domain/decision-proof.ts';
import type { OperatorEntry } from '../../src/domain/person.ts';
import type { Plan } from '../../src/domain/plan.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { createLoginKeys } from '../../src/process/login-keys.ts';
import { createSecretResolver } from '../../src/settings/secrets.ts';
import { landfallHere } from '../cli/command.ts';
import { fakeActivities, type TagTable } from '../support/fake-activities.ts';
import { fakeDelivery } from '../support/fake-delivery.ts';
import { clientSecret, startLoginProvider } from '../support/login-provider.ts';
import { githubJobClaims, type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';
import { delivered, digestOf, imageOf, planOf, pushOf, stageOf } from '../support/plans.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { startWorkers, type TestWorkers } from '../support/worker.ts';
import { assertSame, type BothWays } from './support/both-ways.ts';
import { type OperatorListener, startOperators } from './support/operators.ts';

const tokens = { ann: `landfall_${'a'.repeat(40)}`, ben: `landfall_${'b'.repeat(40)}`, vic: `landfall_${'v'.repeat(40)}` };
const people: OperatorEntry[] = [
  { name: 'ann', token: 'env:ANN', oidc: 'ann@corp', roles: ['operate', 'approve'] },
  { name: 'ben', token: 'env:BEN', roles: ['operate'] },
  { name: 'vic', token: 'env:VIC', roles: ['view'] },
];
const services = 'services: [{ name: web, image: registry.example.test/team/web }]\n';
const operators = `operators: ${JSON.stringify(people)}\n${services}`;
const loginKey = 'the-key-of-logins-that-api-and-workers-have';

describe("the operators' API", function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  let folder: string;
  let env: Record<string, string>;
  let plans = 0;
  const tags: TagTable = new Map();
  const listeners: OperatorListener[] = [];
  /** What a search for builds finds. */
  let builds: (search: BuildSearch) => Promise<FoundBuilds> = () => Promise.reject(new Error('nothing is built here'));
  /** Of the services that are blocked by their scan. */
  const findings = {
    title: 'Scanned',
    passed: false,
    text: '1 critical',
    artifacts: [`sha256/${'e'.repeat(64)}/report.json`],
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-api-'));
    const hashes = await Promise.all(Object.values(tokens).map(hashOfToken));
    env = { ANN: hashes[0] ?? '', BEN: hashes[1] ?? '', VIC: hashes[2] ?? '', LOGIN_KEY: loginKey, OIDC: clientSecret };
    temporal = await startNamespace();
    const secrets = createSecretResolver(env, folder);
    const login = { key: 'env:LOGIN_KEY' } as never;
    const vouchKey = async () => (await createLoginKeys({ configuration: { login, data: folder } }, secrets)()).vouch;
    const world = fakeDelivery();
    workers = await startWorkers(
      temporal,
      fakeActivities(temporal.client, tags, {
        ...world.activities,
        ...createDecisions({ operators: people, secrets, vouchKey }),
        startBuilds: (search) => builds(search),
        async 'check:scan'({ plan }) {
          if (!plan.service.startsWith('blocked')) return { kind: 'checked', text: 'nothing found', evidence: [] };
          throw ApplicationFailure.create({
            type: 'ScanRejected',
            message: '1 critical finding',
            details: [[findings]],
            nonRetryable: true,
          });
        },
      }),
    );
  });

  after(async () => {
    for (const listener of listeners) await listener.stop();
    await workers?.stop();
    await temporal?.stop();
    await rm(folder, { recursive: true });
  });

  async function listen(text: string, more: object = {}): Promise<OperatorListener> {
    const listener = await startOperators(temporal.client, folder, text, { env, ...more });
    listeners.push(listener);
    return listener;
  }

  /** One that stands still in a stage that waits for its approval, or where its name begins so, at its scan. */
  async function started(name: 'blocked' | 'asking', overrides: Partial<Plan> = {}): Promise<string> {
    plans += 1;
    const from = [{ name: 'ann', oidc: 'ann@corp' }, { name: 'ben' }];
    const approval = { from, required: 1, withinMs: 60_000, selfApproval: true, verified: true };
    const plan = planOf({
      service: `${name}-${plans}`,
      stages: [stageOf('production', { ...delivered, approval })],
      ...overrides,
    });
    const image = imageOf(plan, 'word', 'latest');
    tags.set(`${plan.repository}:latest`, digestOf('word'));
    const { workflowId } = await temporal.client.workflow.start(
      'rollout',
      rolloutStartOptions({ plan, image, push: pushOf(image) }),
    );
    const wanted = name === 'blocked' ? 'blocked' : 'waiting';
    await eventually(`${workflowId} to be ${wanted}`, async () => {
      const { count } = await temporal.client.workflow.count(`WorkflowId = '${workflowId}' AND LandfallStatus = '${wanted}'`);
      return count > 0 && (await stateOf(workflowId)).status === wanted;
    });
    return workflowId;
  }

  const stateOf = (rollout: string): Promise<RolloutState> => temporal.client.workflow.getHandle(rollout).query('state');

  describe('without operators', () => {
    it('is open to this machine, which decides as somebody unverified', async () => {
      const api = await listen(services);
      const me = await api.ask('/me');
      assert.deepEqual(me.body, { name: 'somebody on this machine', way: 'unverified', roles: ['view', 'operate', 'approve'] });
      const rollout = await started('blocked');
      const headers = { 'Landfall-Operator': 'zoe' };
      const { status, body } = await api.ask<{ state: RolloutState }>(`/rollouts/${rollout}/decisions`, {
        body: { verb: 'abort' },
        headers,
      });
      assert.equal(status, 200, JSON.stringify(body));
      const { reason } = await temporal.client.workflow.getHandle(rollout).result();
      assert.equal(reason, 'aborted by zoe (unverified)');
    });

    it('answers at once whoever asks for the head of the stream of its pages', async () => {
      const { url } = await listen(services);
      const { status, headers } = await fetch(`${url}/live?of=all`, { method: 'HEAD', signal: AbortSignal.timeout(5_000) });
      assert.deepEqual([status, headers.get('content-type')], [200, 'text/event-stream']);
    });

    it('is closed to what a proxy passes on, and to pages of other sites', async () => {
      const api = await listen(services);
      assert.equal((await api.ask('/me', { headers: { 'X-Forwarded-For': '203.0.113.7' } })).status, 401);
      const foreign = { body: { verb: 'hold', reason: 'because' }, headers: { Origin: 'http://localhost:3000' } };
      const refused = await api.ask('/hold', foreign);
      assert.deepEqual([refused.status, refused.body.type], [403, '/api/v1/problems/foreign-origin']);
      const { status } = await fetch(`${api.url}/api/v1/me`, { headers: { Origin: 'https://evil.example' } });
      assert.equal(status, 421);
    });
  });

  describe('with operators', () => {
    let api: OperatorListener;
    before(async () => {
      api = await listen(operators);
    });

    it('lets in who shows a token, and nobody else', async () => {
      assert.deepEqual([(await api.ask('/me')).status, (await api.ask('/me', { token: `${tokens.ann}x` })).status], [401, 401]);
      const { body } = await api.ask('/me', { token: tokens.vic });
      assert.deepEqual(body, { name: 'vic', way: 'token', roles: ['view'] });
      assert.deepEqual((await api.ask('/me', { token: tokens.ben })).body.roles, ['view', 'operate']);
    });

    it('takes a decision as proven by who made it, and shows who did', async () => {
      const rollout = await started('asking');
      const body = { verb: 'approve', reason: 'looks good' };
      const { status, body: answer } = await api.ask<{ detail: string }>(`/rollouts/${rollout}/decisions`, {
        body,
        token: tokens.ann,
      });
      assert.equal(status, 200, answer.detail);
      const { approvals, decisions } = await stateOf(rollout);
      const [approval] = approvals?.production ?? [];
      assert.deepEqual([approval?.by, approval?.verified], ['ann', true]);
      assert.deepEqual(
        decisions?.map(({ verb, by, reason }) => [verb, by, reason]),
        [['approve', 'ann', 'looks good']],
      );
    });

    it('refuses who has not the role, and records who wanted what', async () => {
      const rollout = await started('asking');
      const attempt = (token: string, verb: string) => api.ask(`/rollouts/${rollout}/decisions`, { body: { verb }, token });
      const before = api.audited.length;
      const viewer = await attempt(tokens.vic, 'abort');
      assert.deepEqual([viewer.status, viewer.body.type], [403, '/api/v1/problems/forbidden']);
      assert.match(String(viewer.body.detail), /needs the role operate, and vic has view/);
      assert.equal((await attempt(tokens.ben, 'approve')).status, 403);
      assert.equal((await api.ask(`/rollouts/${rollout}/decisions`, { body: { verb: 'abort' } })).status, 401);
      const recorded = api.audited.slice(before).map((entry) => {
        assert.ok(entry.event_type === 'decision_refused');
        return [entry.outcome, entry.by, entry.action];
      });
      assert.deepEqual(recorded, [
        ['refused', 'vic', 'abort'],
        ['refused', 'ben', 'approve'],
        ['unauthenticated', 'somebody', `/rollouts/${rollout}/decisions`],
      ]);
      assert.equal((await stateOf(rollout)).status, 'waiting');
    });

    it('has a build searched for as long as that takes, and records who wanted it before that', async () => {
      const source = { git: 'test-org/app' };
      const text = `${operators}forge: { github: { token: "env:ANN" } }\nbuilds: [${JSON.stringify({ source, image: 'registry.example.test/team/app' })}]\n`;
      const idleTimeoutMs = 400;
      const impatient = await listen(text, { limits: { idleTimeoutMs } });
      const found = { kind: 'found', commit: 'c'.repeat(40), builds: [] } as const;
      const clone = Promise.withResolvers<typeof found>();
      builds = () => clone.promise;
      const answer = impatient.ask('/builds', { body: { name: 'app' }, token: tokens.ben });
      const recorded = await eventually('it to be recorded', async () => impatient.audited.at(-1));
      assert.ok(recorded.event_type === 'decision_made');
      const { action, by, services: about, repositories, workflow } = recorded;
      assert.deepEqual([action, by, about, repositories], ['build', 'ben', ['app'], ['test-org/app']]);
      assert.match(workflow, /^search-builds:operator-/);
      // Silent for longer than the listener waits for anything else.
      await new Promise((resolve) => setTimeout(resolve, 3 * idleTimeoutMs));
      clone.resolve(found);
      assert.deepEqual((await answer).body, found);
    });

    it('waits for a registry for as long as that takes to say what a push would come to, by API and page', async () => {
      const answers = Promise.withResolvers<void>();
      const registry = createServer((_, response) => void answers.promise.then(() => response.writeHead(404).end()));
      registry.listen(0, '127.0.0.1');
      await once(registry, 'listening');
      const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
      const followed = `services: [{ name: slow, image: "${host}/team/slow" }]\nregistries: { "${host}": { plainHttp: true } }\n`;
      const idleTimeoutMs = 400;
      const impatient = await listen(operators.replace(services, followed), { limits: { idleTimeoutMs } });
      const answer = impatient.ask(`/explanations?image=${host}/team/slow:1.0`, { token: tokens.vic });
      const headers = { Authorization: `Bearer ${tokens.vic}` };
      const page = fetch(`${impatient.url}/services/slow?tag=1.0`, { headers });
      await Promise.race([new Promise((resolve) => setTimeout(resolve, 3 * idleTimeoutMs)), answer, page]);
      answers.resolve();
      assert.equal((await answer).body.repository, `${host}/team/slow`);
      assert.match(await (await page).text(), /was answered with 404/);
      registry.closeAllConnections();
      registry.close();
    });

    it('says of what does not apply, or is not there, why, with a type that is explained', async () => {
      const rollout = await started('blocked');
      const retry = await api.ask(`/rollouts/${rollout}/decisions`, {
        body: { verb: 'retry', step: 'smoke' },
        token: tokens.ben,
      });
      assert.deepEqual([retry.status, retry.body.type], [409, '/api/v1/problems/refused']);
      assert.match(String(retry.body.detail), /smoke is not blocked.*scan/);
      for (const [path, body, wanted] of [
        ['/rollouts/nothing:here', undefined, 'not-found'],
        ['/rollouts/b%20c', undefined, 'invalid-input'],
        ['/rollouts?limit=0', undefined, 'invalid-input'],
        ['/rollouts?nonsense=1', undefined, 'invalid-input'],
        [`/rollouts/${rollout}/decisions`, { verb: 'skip', step: 'scan' }, 'invalid-input'],
        [`/rollouts/${rollout}/decisions`, { verb: 'praise' }, 'invalid-input'],
        ['/services/nowhere', undefined, 'not-found'],
        ['/nothing', undefined, 'not-found'],
      ] as const) {
        const { body: problem } = await api.ask(path, { token: tokens.ben, ...(body !== undefined && { body }) });
        assert.equal(problem.type, `/api/v1/problems/${wanted}`, `${path}: ${JSON.stringify(problem)}`);
      }
    });

    it('shows a rollout and its parts', async () => {
      const rollout = await started('blocked');
      const part = async (name: string) => (await api.ask<unknown[]>(`/rollouts/${rollout}/${name}`, { token: tokens.vic })).body;
      assert.deepEqual(
        ((await part('steps')) as { step: string }[]).slice(0, 2).map(({ step }) => step),
        ['verify', 'scan'],
      );
      assert.deepEqual(await part('findings'), [{ step: 'scan', evidence: [findings] }]);
      assert.deepEqual(await part('artifacts'), findings.artifacts);
      for (const name of ['logs', 'readings', 'waivers', 'decisions']) assert.deepEqual(await part(name), []);
      const { body } = await api.ask<{ questions: { step: string }[] }>(`/rollouts/${rollout}`, { token: tokens.vic });
      assert.deepEqual(
        body.questions.map(({ step }) => step),
        ['scan'],
      );
    });

    it('hands out a report that the rollout names, and no other file', async () => {
      const rollout = await started('blocked');
      const [path = ''] = findings.artifacts;
      const download = (of: string) =>
        fetch(`${api.url}/api/v1/rollouts/${rollout}/artifacts/${of}`, { headers: { Authorization: `Bearer ${tokens.vic}` } });
      assert.equal((await download(path)).status, 404);
      await mkdir(join(folder, 'artifacts', path, '..'), { recursive: true });
      await writeFile(join(folder, 'artifacts', path), '{"a":"report"}');
      const found = await download(path);
      assert.deepEqual([found.status, await found.text()], [200, '{"a":"report"}']);
      assert.match(found.headers.get('content-disposition') ?? '', /^attachment/);
      for (const other of [
        `sha256/${'e'.repeat(64)}/other.json`,
        `sha256/${'e'.repeat(64)}/..%2F..%2F..%2Flandfall.yaml`,
        'sha256/../x',
      ]) {
        assert.ok([404, 422].includes((await download(other)).status), other);
      }
    });

    it('holds a service and all of them, and lists both', async () => {
      const hold = await api.ask('/services/web/commands', { body: { verb: 'hold', reason: 'a fire' }, token: tokens.ben });
      assert.equal(hold.status, 200, JSON.stringify(hold.body));
      const all = await api.ask('/hold', { body: { verb: 'hold', reason: 'a flood' }, token: tokens.ann });
      assert.equal(all.status, 200, JSON.stringify(all.body));
      const { body } = await api.ask<{ globalHold: { by: string }; services: { service: string; hold?: { by: string } }[] }>(
        '/overview',
        {
          token: tokens.vic,
        },
      );
      assert.deepEqual([body.globalHold.by, body.services.find(({ service }) => service === 'web')?.hold?.by], ['ann', 'ben']);
      await api.ask('/hold', { body: { verb: 'release' }, token: tokens.ann });
      const { body: lane } = await api.ask<{ lane: { hold: { reason: string } } }>('/services/web', { token: tokens.vic });
      assert.equal(lane.lane.hold.reason, 'a fire');
      assert.equal((await api.ask('/services', { token: tokens.vic })).status, 200);
      assert.deepEqual((await api.ask('/hold', { token: tokens.vic })).body, {});
    });

    it('lists, counts and pages, triggers, and has a record', async () => {
      const { body } = await api.ask<{ rows: unknown[]; next?: string; total: number }>(
        '/rollouts?limit=2&count=true&status=blocked&status=waiting',
        {
          token: tokens.vic,
        },
      );
      assert.equal(body.rows.length, 2);
      assert.ok(body.total >= 2);
      const next = await api.ask(`/rollouts?limit=2&status=blocked&status=waiting&cursor=${body.next}`, { token: tokens.vic });
      assert.equal(next.status, 200);
      const image = `registry.example.test/team/web:latest@${digestOf('triggered')}`;
      const { status, body: begun } = await api.ask<{ rollouts: unknown[] }[]>('/triggers', {
        body: { image },
        token: tokens.ben,
      });
      assert.deepEqual([status, begun[0]?.rollouts.length], [200, 1]);
      assert.deepEqual((await api.ask('/audit?limit=5', { token: tokens.vic })).body, { entries: [], read: 0, skipped: 0 });
    });

    it('tells everybody who listens what changes, with one question however many they are, and goes on where one left off', async () => {
      const listening = await Promise.all(Array.from({ length: 20 }, () => listenTo(api, tokens.vic)));
      await listening[0]?.until(/retry: 2000/);
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      const rollout = await started('blocked');
      for (const one of listening) await one.until(new RegExp(`event: rollout\\ndata: .*${rollout}`));
      for (const one of listening) await one.close();
      const later = await listenTo(api, tokens.vic, String(Date.now() - 60_000));
      await later.until(new RegExp(rollout));
      await later.close();
      // The first is of the year 33658.
      for (const id of ['999999999999999', '0']) await (await listenTo(api, tokens.vic, id)).close();
    });

    it('tells nothing more whoever may not listen any more', async () => {
      const own = await listen(operators);
      mock.timers.enable({ apis: ['setInterval'] });
      const [vics, bens] = await Promise.all([tokens.vic, tokens.ben].map((token) => listenTo(own, token)));
      own.configure(operators.replace('"token":"env:VIC",', ''));
      mock.timers.tick(15_000);
      mock.timers.reset();
      assert.doesNotMatch((await vics?.ended) ?? '', /still here/);
      await bens?.until(/still here/);
      await bens?.close();
    });

    it('describes itself, and explains each type of problem', async () => {
      const document = await fetch(`${api.url}/api/v1/openapi.json`, { headers: { Authorization: `Bearer ${tokens.vic}` } });
      assert.equal(((await document.json()) as { openapi: string }).openapi, '3.1.0');
      const { body } = await api.ask('/me');
      const explained = await fetch(`${api.url}${body.type}`);
      assert.equal(explained.status, 200);
      const documented = readFileSync(new URL('../../docs/problems.md', import.meta.url), 'utf8');
      for (const name of Object.keys(problemTypes)) assert.match(documented, new RegExp(`^## ${name}$`, 'm'));
    });
  });

  describe('in a browser', () => {
    let api: OperatorListener;
    before(async () => {
      api = await listen(operators);
    });

    const logIn = async (token: string, to = api) => {
      const body = JSON.stringify({ token });
      const response = await fetch(`${to.url}/login`, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
      return { status: response.status, set: response.headers.get('set-cookie') ?? '' };
    };
    const cookieOf = (set: string): string => set.split(';')[0] ?? '';

    it('a token makes a cookie that no script sees, which is as good', async () => {
      const { status, set } = await logIn(tokens.ben);
      assert.equal(status, 204);
      assert.match(set, /^landfall=[\w-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=28800$/);
      const { body } = await api.ask('/me', { headers: { Cookie: cookieOf(set) } });
      assert.deepEqual([body.name, body.way], ['ben', 'token']);
      assert.equal((await logIn('nobody'.repeat(9))).status, 401);
    });

    it('a cookie decides only from a page of its own', async () => {
      const { set } = await logIn(tokens.ben);
      const hold = (headers: Record<string, string>) =>
        api.ask('/services/web/commands', {
          body: { verb: 'hold', reason: 'why' },
          headers: { Cookie: cookieOf(set), ...headers },
        });
      assert.equal((await hold({})).status, 403);
      assert.equal((await hold({ Origin: 'http://127.0.0.1:1' })).status, 403);
      assert.equal((await hold({ Origin: api.url, 'Sec-Fetch-Site': 'cross-site' })).status, 403);
      assert.equal((await hold({ Origin: api.url })).status, 200);
    });

    it('a cookie that was changed, of another key, or of a token that was changed, is nobody’s', async () => {
      const cookie = cookieOf((await logIn(tokens.ben)).set);
      const statusOf = async (Cookie: string, of = api) => (await of.ask('/me', { headers: { Cookie } })).status;
      const flipped = cookie.slice(0, -6) + (cookie.at(-6) === 'A' ? 'B' : 'A') + cookie.slice(-5);
      assert.equal(await statusOf(flipped), 401);
      assert.equal(await statusOf(`${cookie}; landfall=another`), 401);
      const elsewhere = await listen(`${operators}login: { key: env:LOGIN_KEY }\n`);
      assert.equal(await statusOf(cookie, elsewhere), 401);
      const rotated = await listen(operators, { env: { ...env, BEN: env.VIC } });
      assert.equal(await statusOf(cookie, rotated), 401);
      const over = await listen(`${operators}login: { notBefore: 2099-01-01T00:00:00Z }\n`);
      assert.equal(await statusOf(cookie, over), 401);
    });

    it('an open page is told of changes until the login is over, also when a page would prolong it', async () => {
      const lasting = (session: string) => `${operators}login: { key: env:LOGIN_KEY, session: ${session} }\n`;
      const own = await listen(lasting('1h'));
      const Cookie = cookieOf((await logIn(tokens.ben, own)).set);
      // Less than half of it is left.
      own.configure(lasting('10h'));
      mock.timers.enable({ apis: ['setInterval'] });
      const stream = await openStream(`${own.url}/live?of=all`, { Cookie });
      mock.timers.tick(15_000);
      await Promise.race([stream.until(/^:$/m), stream.ended]);
      mock.timers.tick(15_000);
      await Promise.race([stream.until(/^:$.*^:$/ms), stream.ended.then((text) => assert.fail(`it ended: ${text}`))]);
      own.configure(`${operators}login: { key: env:LOGIN_KEY, notBefore: 2099-01-01T00:00:00Z }\n`);
      mock.timers.tick(15_000);
      mock.timers.reset();
      await stream.ended;
    });

    it('under https a cookie is for this host alone', async () => {
      const secure = await listen(`${operators}login: { url: "https://landfall.example" }\n`);
      assert.match((await logIn(tokens.ann, secure)).set, /^__Host-landfall=[\w-]+; Path=\/; HttpOnly; Secure; SameSite=Strict/);
    });

    it('nothing of another origin is loaded or framed', async () => {
      const { headers } = await api.ask('/me');
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/);
      assert.doesNotMatch(headers.get('content-security-policy') ?? '', /unsafe/);
    });
  });

  describe('with jobs of CI', () => {
    const audience = 'https://landfall.example';
    let issuer: OidcIssuer;
    let api: OperatorListener;
    const entries = [
      { source: { git: 'Test-Org/App' }, image: 'registry.example.test/team/app' },
      { source: { git: 'test-org/secret' }, image: 'registry.example.test/team/secret' },
      { source: { git: '/srv/test-org/app' }, image: 'registry.example.test/team/local' },
    ];
    const claims = { ...githubJobClaims, aud: audience, repository_id: '77' };
    const configured = (jobs: object = {}, github: object = { url: issuer.url }) => {
      const login = { key: 'env:LOGIN_KEY', jobs: { audience, issuer: issuer.url, ...jobs } };
      const forge = { github: { token: 'env:ANN', ...github } };
      return `${operators}forge: ${JSON.stringify(forge)}\nbuilds: ${JSON.stringify(entries)}\nlogin: ${JSON.stringify(login)}\n`;
    };
    const build = async (body: object, token: string, of = api) => await of.ask('/builds', { token, body });

    before(async () => {
      issuer = await startOidcIssuer();
      api = await listen(configured());
    });
    after(() => issuer?.stop());

    it('refuses, and records, whoever is no job of the repository of a build', async () => {
      const job = await issuer.sign(claims);
      const other = await issuer.sign({ ...claims, repository: 'other-org/app' });
      const branch = await issuer.sign({ ...claims, ref: 'refs/heads/topic' });
      const over = await issuer.sign({ ...claims, exp: Math.floor(Date.now() / 1_000) - 60 });
      const elsewhere = await issuer.sign({ ...claims, aud: 'https://other.example' });
      const [nobody, by] = ['somebody', 'job test-org/app (run 8571234567)'];
      for (const [name, token, status, says, who] of [
        ['app', over, 401, /has expired \(exp\)/, nobody],
        ['app', elsewhere, 401, /its audience \(aud\) is not https:\/\/landfall\.example/, nobody],
        ['app', await issuer.sign({ ...claims, sha: 'main' }), 401, /expected the claims repository, ref, sha/, nobody],
        ['app', other, 403, /named app with other-org\/app as its source/, 'job other-org/app (run 8571234567)'],
        ['secret', job, 403, /named secret with test-org\/app as its source/, by],
        ['local', job, 403, /named local with test-org\/app/, by],
        ['nothing', job, 403, /named nothing with test-org\/app/, by],
        ['app', branch, 403, /A job of refs\/heads\/topic may do dry runs alone.*refs\/heads\/main/, by],
      ] as const) {
        const { status: found, body } = await build({ name }, token);
        assert.deepEqual([found, says.test(String(body.detail))], [status, true], JSON.stringify(body));
        const entry = api.audited.at(-1);
        assert.deepEqual(
          [entry?.event_type, entry?.action, entry?.status, entry && 'by' in entry && entry.by, entry?.reason],
          ['decision_refused', '/builds', status, who, body.detail],
        );
      }
      const wrong = await build({ name: 'app', ref: 'f'.repeat(40), dryRun: true }, branch);
      assert.match(String(wrong.body.detail), /its own commit built\. Expected 6c3ed5d8/);
      const see = await api.ask('/builds/build:secret:0123456789ab', { token: job });
      assert.deepEqual([see.status, api.audited.at(-1)?.status], [403, 403]);
      const own = await api.ask('/builds/app:0123456789ab', { token: job });
      assert.deepEqual([own.status, own.body.type], [404, '/api/v1/problems/not-found']);
      assert.equal((await build({ name: 'app' }, 'a.b.c')).status, 401);
    });

    it('takes a repository for the one of the job only where it is at the same host', async () => {
      const token = await issuer.sign({ ...claims, ref: 'refs/heads/topic' });
      const atGitHub = await listen(configured({}, {}));
      assert.match(
        String((await build({ name: 'app' }, token, atGitHub)).body.detail),
        /named app with test-org\/app as its source/,
      );
      for (const git of ['https://127.0.0.1:3000/Test-Org/App.git', 'git@127.0.0.1:test-org/app'])
        assert.match(
          String(
            (await build({ name: 'app' }, token, await listen(configured({}, {}).replace('Test-Org/App', git)))).body.detail,
          ),
          /may do dry runs alone/,
        );
    });

    it('lets a job do nothing else, and shows it no page', async () => {
      const token = await issuer.sign(claims);
      for (const path of ['/me', '/builds', '/rollouts', '/audit', '/events'])
        assert.equal((await api.ask(path, { token })).status, 403, path);
      assert.equal((await api.ask('/hold', { token, body: { verb: 'hold', reason: 'x' } })).status, 403);
      const headers = { Authorization: `Bearer ${token}` };
      assert.equal((await fetch(`${api.url}/rollouts`, { headers, redirect: 'manual' })).status, 303);
      const pinned = await listen(configured({ repositoryIds: [78] }));
      assert.match(String((await build({ name: 'app' }, token, pinned)).body.detail), /its repository_id is none of/);
      const without = await listen(operators);
      assert.equal((await build({ name: 'app' }, token, without)).status, 401);
      // Whoever lets jobs in has put it where not only this machine reaches it.
      assert.equal((await (await listen(configured().replace(operators, services))).ask('/me')).status, 401);
    });

    it('builds the commit of a job as one of the branch of the job, which its tag may name', async () => {
      const wide = await listen(configured({ refs: ['refs/heads/*'] }));
      let seen: BuildSearch | undefined;
      builds = async (search) => {
        seen = search;
        return { kind: 'found', commit: search.ref, builds: [] };
      };
      const token = await issuer.sign({ ...claims, ref: 'refs/heads/dev/a' });
      assert.equal((await build({ name: 'app' }, token, wide)).status, 200);
      assert.deepEqual([seen?.ref, seen?.branch], [claims.sha, 'dev/a']);
      await wide.ask('/builds', { body: { name: 'app' }, token: tokens.ben });
      assert.deepEqual([seen?.ref, seen?.branch], ['main', undefined], 'an operator has no ref of a job');
    });

    it('lets jobs of the refs of the configuration push, and answers 503 while nobody can tell whose a token is', async () => {
      const token = await issuer.sign({ ...claims, ref: 'refs/heads/release/1', repository: 'other-org/app' });
      const wide = await listen(configured({ refs: ['refs/heads/release/*'] }));
      // It is the repository that is wrong, and not the ref: who may build has both.
      assert.match(String((await build({ name: 'app' }, token, wide)).body.detail), /its own repository/);
      const main = await build({ name: 'app' }, await issuer.sign(claims), wide);
      assert.match(String(main.body.detail), /a job of refs\/heads\/release\/\* \(login\.jobs\.refs\)/);
      const unlucky = await listen(configured());
      issuer.goDown();
      const { status, headers } = await build({ name: 'app' }, token, unlucky);
      assert.deepEqual([status, headers.get('retry-after')], [503, '5']);
      issuer.comeBack();
    });
  });

  describe('with an OpenID provider', () => {
    const withProvider = async () => {
      const port = await reservePort();
      const url = `http://127.0.0.1:${port}`;
      const provider = await startLoginProvider(() => `${url}/login/oidc/callback`);
      const oidc = {
        ...{ issuer: provider.issuer.url, clientId: 'landfall', clientSecret: 'env:OIDC' },
        roles: { view: ['staff'], operate: ['sre'], approve: ['leads'] },
      };
      const text = `${operators}login: ${JSON.stringify({ url, key: 'env:LOGIN_KEY', oidc })}\n`;
      const api = await listen(text, { port });
      return { provider, api };
    };

    /** As a browser goes: there, to the provider, and back. @returns the status at the end, and the cookie */
    const logIn = async (api: OperatorListener) => {
      const begun = await fetch(`${api.url}/login/oidc?return=/rollouts`, { redirect: 'manual' });
      if (begun.status !== 302) return { status: begun.status, cookie: '', page: '' };
      const code = begun.headers.get('set-cookie')?.split(';')[0] ?? '';
      assert.match(begun.headers.get('set-cookie') ?? '', /HttpOnly; SameSite=Lax/);
      const there = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' });
      const back = await fetch(there.headers.get('location') ?? '', { redirect: 'manual', headers: { Cookie: code } });
      const cookie = back.headers.getSetCookie().find((one) => one.startsWith('landfall=')) ?? '';
      return { status: back.status, cookie: cookie.split(';')[0] ?? '', page: await back.text() };
    };

    it('whoever logs in there decides under that name, and it is shown how that is known', async () => {
      const { provider, api } = await withProvider();
      provider.person = { preferred_username: 'ann@corp', groups: ['leads', 'everybody'] };
      const { status, cookie, page } = await logIn(api);
      assert.equal(status, 200, page);
      assert.match(page, /url=\/rollouts/);
      const headers = { Cookie: cookie, Origin: api.url };
      assert.deepEqual((await api.ask('/me', { headers })).body, { name: 'ann@corp', way: 'oidc', roles: ['view', 'approve'] });
      const rollout = await started('asking');
      const { status: approved, body } = await api.ask(`/rollouts/${rollout}/decisions`, { body: { verb: 'approve' }, headers });
      assert.equal(approved, 200, JSON.stringify(body));
      assert.deepEqual(
        (await stateOf(rollout)).decisions?.map(({ by }) => by),
        ['ann (oidc)'],
      );
      await provider.stop();
    });

    it('who may not approve there may not here: of a group without the role, or nobody who is named for the stage', async () => {
      const { provider, api } = await withProvider();
      const rollout = await started('asking');
      const approve = async (person: Record<string, unknown>) => {
        provider.person = person;
        const { cookie } = await logIn(api);
        return await api.ask(`/rollouts/${rollout}/decisions`, {
          body: { verb: 'approve' },
          headers: { Cookie: cookie, Origin: api.url },
        });
      };
      assert.equal((await approve({ preferred_username: 'ann@corp', groups: ['staff'] })).status, 403);
      // The name of an operator, as somebody else has it at the provider.
      const impostor = await approve({ preferred_username: 'ben', groups: ['leads'] });
      assert.deepEqual([impostor.status, impostor.body.type], [409, '/api/v1/problems/refused']);
      assert.match(String(impostor.body.detail), /ben may not approve production/);
      provider.person = { preferred_username: 'eve', groups: ['others'] };
      assert.equal((await logIn(api)).status, 403);
      await provider.stop();
    });

    it('says that the provider is away, goes on with what it said before, and tokens work all the while', async () => {
      const { provider, api } = await withProvider();
      provider.person = { preferred_username: 'sam', groups: ['sre'] };
      provider.issuer.goDown();
      assert.equal((await logIn(api)).status, 503);
      assert.equal((await api.ask('/me', { token: tokens.ann })).status, 200);
      provider.issuer.comeBack();
      const { cookie } = await logIn(api);
      provider.issuer.goDown();
      assert.equal((await api.ask('/me', { headers: { Cookie: cookie } })).body.name, 'sam');
      assert.equal((await logIn(api)).status, 200, 'discovery is known by now');
      await provider.stop();
    });

    it('a login that was begun in another browser, or twice, is none', async () => {
      const { provider, api } = await withProvider();
      provider.person = { preferred_username: 'sam', groups: ['sre'] };
      const begun = await fetch(`${api.url}/login/oidc`, { redirect: 'manual' });
      const there = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' });
      const back = there.headers.get('location') ?? '';
      assert.equal((await fetch(back, { redirect: 'manual' })).status, 401);
      const cookie = begun.headers.get('set-cookie')?.split(';')[0] ?? '';
      assert.equal((await fetch(back, { redirect: 'manual', headers: { Cookie: cookie } })).status, 200);
      assert.equal((await fetch(back, { redirect: 'manual', headers: { Cookie: cookie } })).status, 401);
      await provider.stop();
    });
  });
  describe('by the command', () => {
    let ways: BothWays;
    before(async () => {
      const api = await listen(operators);
      const empty = join(folder, 'empty');
      await mkdir(empty);
      await writeFile(join(folder, 'landfall.yaml'), operators);
      await mkdir(join(folder, 'data'), { recursive: true });
      await writeFile(join(folder, 'data', 'audit.jsonl'), auditLines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      ways = {
        temporal: { cwd: folder, env: { ...temporal.env, LANDFALL_TOKEN: tokens.ann } },
        api: { cwd: empty, env: { LANDFALL_URL: api.url, LANDFALL_TOKEN: tokens.ann } },
      };
    });
    after(() => rm(join(folder, 'landfall.yaml')));

    const same = (words: Parameters<typeof assertSame>[1], exitCode?: number) => assertSame(ways, words, exitCode);
    /** Of its own for each way, so that both decide the same. */
    const ofEach = async (name: 'blocked' | 'asking', more: Partial<Plan> = {}) => {
      const rollouts = { temporal: await started(name, more), api: await started(name, more) };
      const services = { temporal: serviceOf(rollouts.temporal), api: serviceOf(rollouts.api) };
      return { rollouts, services };
    };

    it('what is read is the same by the API as straight from Temporal, and needs no file', async () => {
      const rollout = await started('blocked');
      const service = serviceOf(rollout);
      for (const words of [
        ['status'],
        ['list'],
        ['list', '--service', service],
        ['list', '--status', 'blocked', '--limit', '1'],
        ['show', rollout],
        ['show', service],
        ['logs', rollout],
        ['stats', '--days', '7'],
        ['why', 'registry.example.test/team/other'],
        ['audit'],
        ['audit', '--outcome', 'accepted', '--source', 'operator', '--since', '2026-01-01'],
      ]) {
        await same(words);
        await same([...words, '--json']);
      }
      await same(['list', '--service', 'nothing-of-it', '--json']);
      assert.match(await same(['show', service]), /landfall retry \S+ scan --with-new-configuration +# with a corrected/);
    });

    it('what is not there, or typed in a wrong way, is said in the same words', async () => {
      for (const words of [
        ['show', 'nothing:here'],
        ['logs', 'nothing'],
        ['lane', 'nothing'],
        ['retry', 'nothing'],
        ['hold', 'nowhere', '--reason', 'because'],
        ['promote', 'nothing', 'production', 'abcdef012345'],
        ['trigger', 'registry.example.test/team/nobodys'],
        ['build', 'nothing'],
      ])
        await same(words, 1);
      for (const words of [
        ['show', 'a b'],
        ['hold', 'web'],
        ['stats', '--days', '0'],
        ['skip', 'nothing', 'scan'],
      ])
        await same(words, 2);
    });

    it('decisions come to the same', async () => {
      for (const [name, words, exitCode] of [
        // It finds the same once more.
        ['blocked', ['retry', 'ID', 'scan', '--wait'], 1],
        ['blocked', ['skip', 'SERVICE', 'scan', '--reason', 'known', '--wait'], 1],
        ['blocked', ['reject', 'ID', '--wait'], 0],
        ['blocked', ['abort', 'ID', '--yes', '--json', '--wait'], 0],
      ] as const) {
        const { rollouts, services } = await ofEach(name);
        const wordsOf = (way: keyof BothWays) =>
          words.map((word) => (word === 'ID' ? rollouts[way] : word === 'SERVICE' ? services[way] : word));
        assert.match(await same((way) => [...wordsOf(way), '--as', 'ann'], exitCode), /"?by"?:? "?ann\b(?! \(unver)/);
      }
    });

    it('what a service runs is kept, promoted and rolled back in the same words', async () => {
      const { services } = await ofEach('asking');
      const asked = (words: readonly string[], exitCode?: number) =>
        same((way) => words.map((word) => (word === 'SERVICE' ? services[way] : word)), exitCode);
      const said = (...words: string[]) => asked(words);
      const by = ['--as', 'ann'];
      const why = ['--reason', 'an outage'];
      await said('approve', 'SERVICE', '--wait', '--timeout', '30s', ...by);
      await said('hold', 'SERVICE', ...why, ...by);
      await said('release', 'SERVICE', ...by, '--json');
      const digest = digestOf('word').slice('sha256:'.length);
      await said('pin', 'SERVICE', 'production', digest.slice(0, 12), ...why, ...by);
      await said('lane', 'SERVICE');
      await said('lane', 'SERVICE', '--json');
      await said('lane', 'SERVICE', '--at', '2026-01-31T15:00');
      await said('release', 'SERVICE', '--stage', 'production', ...by);
      await said('show', 'SERVICE', '--stage', 'production');
      await said('quarantine', 'SERVICE', `sha256:${'d'.repeat(64)}`, ...by);
      await said('unquarantine', 'SERVICE', 'ddddddd', ...by, '--json');
      const refused = await asked(['rollback', 'SERVICE', 'production', '--yes', ...why, ...by], 1);
      assert.match(refused, /it knows of nothing before it/);
      await asked(['promote', 'SERVICE', 'production', digest.slice(0, 12), ...by], 1);
      await said('hold', '--all', ...why, ...by);
      const released = await landfallHere(['release', '--all', ...by], ways.api);
      assert.equal(released.stdout, 'the global hold is over: released by ann\n', released.stderr);
      assert.match(await asked(['release', '--all', ...by], 1), /there is no global hold/);
    });

    it('an image is rolled out in the same words', async () => {
      const fills = { temporal: 'straight', api: 'by the API' };
      await same((way) => ['trigger', `registry.example.test/team/web:latest@${digestOf(fills[way])}`, '--wait']);
    });

    it('who may not is told so, and what the API has nothing for', async () => {
      const asked = (token: string, ...words: string[]) =>
        landfallHere(words, { ...ways.api, env: { ...ways.api.env, LANDFALL_TOKEN: token } });
      const viewer = await asked(tokens.vic, 'hold', '--all', '--reason', 'a fire');
      assert.deepEqual([viewer.exitCode, viewer.stdout], [1, '']);
      assert.match(viewer.stderr, /needs the role operate, and vic has view/);
      const stranger = `landfall_${'x'.repeat(40)}`;
      const nobody = await asked(stranger, 'list');
      assert.match(nobody.stderr, /does not take what is in LANDFALL_TOKEN/);
      assert.ok(!nobody.stderr.includes(stranger));
      assert.match((await asked('', 'list')).stderr, /has to know who asks: set LANDFALL_TOKEN/);
      assert.match((await asked(tokens.ben, 'hold', '--all', '--reason', 'a fire', '--as', 'ann')).stderr, /is the token of ben/);
      for (const words of [['audit', '--verify'], ['doctor']]) {
        const { exitCode, stderr } = await asked(tokens.ann, ...words);
        assert.equal(exitCode, 1);
        assert.match(stderr, /run it where Landfall runs, without LANDFALL_URL/);
      }
      assert.equal((await asked(tokens.ann, 'list', '--url', 'http://127.0.0.1:1', '-c', 'landfall.yaml')).exitCode, 2);
    });
  });
});

const auditLines = [
  {
    ...{
      timestamp: '2026-01-02T03:04:05.000Z',
      event_type: 'webhook_received',
      source: 'quay',
      outcome: 'accepted',
      status: 202,
    },
    ...{ services: ['web'], images: [], repositories: [], rollouts: ['rollout:web:latest:0123456789ab'] },
  },
  {
    ...{ timestamp: '2026-01-02T04:04:05.000Z', event_type: 'decision_made', source: 'operator', outcome: 'accepted' },
    ...{ status: 'accepted', action: 'hold', by: 'ann', services: ['api'], images: [], repositories: [], workflow: 'lane:api' },
  },
];

function serviceOf(rollout: string): string {
  return rollout.split(':')[1] ?? '';
}

/** A stream of events, and what came by it. */
async function listenTo(api: OperatorListener, token: string, lastEventId?: string) {
  const headers = { Authorization: `Bearer ${token}`, ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }) };
  return await openStream(`${api.url}/api/v1/events`, headers);
}

async function openStream(url: string, headers: Record<string, string>) {
  const controller = new AbortController();
  const response = await fetch(url, { headers, signal: controller.signal });
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  let text = '';
  const reading = (async () => {
    for await (const chunk of response.body ?? []) text += new TextDecoder().decode(chunk);
  })().catch(() => undefined);
  return {
    /** All that came. */
    ended: reading.then(() => text),
    until: (wanted: RegExp) => eventually(`an event like ${wanted}`, async () => wanted.test(text)),
    close: () => {
      controller.abort();
      return reading;
    },
  };
}
