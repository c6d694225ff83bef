import assert from 'node:assert/strict';
import type { AcceptPushes } from '../../src/api/webhooks/accept-pushes.ts';
import type { ReceivedPush } from '../../src/api/webhooks/plan-starts.ts';
import { Problem } from '../../src/http/problem.ts';
import { type EventSettings, eventSource } from '../../src/sources/event/index.ts';
import { contextOf, imagesOf, only, parseWith } from '../api/support/receivers.ts';
import { bearer, vectorsOf } from '../api/support/vectors.ts';
import { githubJobClaims, type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';
import { acceptAll, type ReceiverIngress, serveReceiver } from './event-ingress.ts';

const audience = 'https://landfall.example.org';
const json = { 'Content-Type': 'application/json' };
const event = { image: 'ghcr.io/test-org/app', tags: ['dev'] };

describe('the receiver of events of CI jobs', () => {
  let issuer: OidcIssuer;
  let ingress: ReceiverIngress;
  let accept: AcceptPushes;
  let pushes: ReceivedPush[];

  before(async () => {
    issuer = await startOidcIssuer();
  });
  beforeEach(async () => {
    pushes = [];
    accept = async (received) => {
      pushes.push(...received.pushes);
      return await acceptAll(received);
    };
    await serve();
  });
  afterEach(async () => {
    await ingress.stop();
  });
  after(() => issuer.stop());

  const settings = (more: Partial<EventSettings> = {}): EventSettings => ({
    audience: [audience],
    issuers: [{ github: issuer.url }],
    owners: ['Test-Org'],
    imagePrefix: ['ghcr.io/test-org/'],
    ...more,
  });
  const serve = async (more: Partial<EventSettings> = {}) => {
    ingress = await serveReceiver(
      (log) => only(eventSource.open({ event: settings(more) }, { ...contextOf({}), log })),
      (received) => accept(received),
    );
  };
  const serveAnew = async (more: Partial<EventSettings>) => {
    await ingress.stop();
    await serve(more);
  };
  const tokenOf = (claims: object = {}) => issuer.sign({ ...githubJobClaims, aud: audience, ...claims });
  const post = async (body: unknown, headers: Record<string, string> = json, method = 'POST') =>
    fetch(`${ingress.url}/event`, {
      method,
      headers: { ...bearer(await tokenOf()), ...headers },
      ...(method !== 'GET' && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });

  for (const vector of vectorsOf('event')) {
    it(`answers ${vector.name} as kuberollouttrigger does`, async () => {
      await serveAnew({ imagePrefix: [vector.allowedImagePrefix ?? ''] });
      const answer = await post(vector.raw, vector.headers);
      assert.equal(answer.status, vector.status ?? 202);
      assert.deepEqual(imagesOf({ pushes: pushes.map(withoutCommit) }), vector.images);
    });
  }

  it('answers what it refuses with the codes of kuberollouttrigger', async () => {
    const refusals: [number, () => Promise<Response>][] = [
      [400, () => post(event, { 'Content-Type': 'text/plain' })],
      [400, () => post(event, { ...json, 'Content-Encoding': 'gzip' })],
      [400, () => post(event, { 'Content-Type': 'text/plain', Authorization: 'Bearer bad' })],
      [401, () => post(event, { ...json, Authorization: '' })],
      [401, () => post(event, { ...json, Authorization: 'Bearer' })],
      [401, () => post(event, { ...json, Authorization: 'Bearer bad' })],
      [401, () => post('not json', { ...json, Authorization: 'Bearer bad' })],
      [400, () => post({ ...event, padding: 'x'.repeat(1024 * 1024) })],
      [400, () => post('')],
      [405, () => post(event, json, 'GET')],
      [405, () => post(event, json, 'PUT')],
      [404, () => fetch(`${ingress.url}/event/`, { method: 'POST' })],
    ];
    for (const [index, [status, request]] of refusals.entries()) {
      const answer = await request();
      await answer.arrayBuffer();
      assert.equal(answer.status, status, `request ${index}`);
    }
    assert.deepEqual(pushes, []);
  });

  it('takes whatever media type begins with application/json', async () => {
    for (const type of ['application/json; charset=utf-8', 'application/jsonx', 'application/json;charset=latin1']) {
      assert.equal((await post(event, { 'Content-Type': type })).status, 202, type);
    }
  });

  it('answers 202 with no rollouts for an image that nobody follows', async () => {
    accept = async () => ({ rollouts: [], resolving: [] });
    const answer = await post(event);
    assert.equal(answer.status, 202);
    const { rollouts, resolving } = (await answer.json()) as Record<string, unknown>;
    assert.deepEqual([rollouts, resolving], [[], []]);
  });

  it('answers 502 while Temporal is down', async () => {
    accept = async () => {
      throw new Problem(503, 'unavailable', 'Temporal does not answer.', { 'Retry-After': '10' });
    };
    const answer = await post(event);
    assert.equal(answer.status, 502);
    assert.equal(answer.headers.get('retry-after'), '10');
  });

  it('logs why a token is refused, and never the token', async () => {
    const token = await tokenOf({ aud: 'canary-audience' });
    const answer = await post(event, { ...json, ...bearer(token) });
    assert.equal(answer.status, 401);
    assert.match(
      ingress.logged(),
      /"reason":"the token is refused: its audience \(aud\) is not [^"]+".*"msg":"OIDC token validation failed"/,
    );
    for (const hidden of [token, token.split('.')[1] ?? '', 'canary-audience']) {
      assert.ok(!ingress.logged().includes(hidden) && !(await answer.clone().text()).includes(hidden));
    }
  });

  it('knows the job of GitHub by its token', async () => {
    await post({ image: 'ghcr.io/test-org/app', tags: ['dev', 'dev', 'v1', 'dev'] });
    assert.deepEqual(
      pushes.map(({ tag }) => tag),
      ['dev', 'v1'],
    );
    const { deliveryId, receivedAt, ...push } = pushes[0] ?? {};
    assert.deepEqual(push, {
      source: 'event',
      repository: 'ghcr.io/test-org/app',
      tag: 'dev',
      commit: githubJobClaims.sha,
      sourceRepository: 'test-org/app',
      actor: 'octocat',
      buildId: '8571234567',
      proven: { by: 'token', fields: ['commit', 'sourceRepository', 'actor'], actorOf: 'github' },
    });
    assert.ok(deliveryId && receivedAt);
    assert.equal(pushes[1]?.deliveryId, deliveryId);
  });

  it('begins anew where a run by hand says so, and only there', async () => {
    const asked: unknown[] = [];
    accept = async (received) => {
      asked.push(received.again);
      pushes.push(...received.pushes);
      return await acceptAll(received);
    };
    const again = { ...event, again: true };
    const byHand = { ...json, ...bearer(await tokenOf({ event_name: 'workflow_dispatch' })) };
    assert.equal((await post(again, byHand)).status, 202);
    assert.equal((await post(event, byHand)).status, 202);
    assert.deepEqual(asked, [true, false]);
    const refused = await post(again);
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /only from a run that somebody has started by hand/);
    assert.equal((await post({ ...event, again: 'yes' }, byHand)).status, 400);
  });

  it('takes for the source of an image neither who asks for it again, nor who passes it on', async () => {
    for (const [event_name, more] of [
      ['workflow_dispatch', { again: true }],
      ['repository_dispatch', {}],
    ] as const) {
      await post({ ...event, ...more }, { ...json, ...bearer(await tokenOf({ event_name })) });
      const { commit, sourceRepository, actor, proven } = pushes.pop() ?? {};
      assert.deepEqual([commit, sourceRepository, actor, proven?.fields], [undefined, undefined, 'octocat', ['actor']]);
    }
  });

  it('leaves out what a token says of itself in an unexpected form', async () => {
    await post(event, {
      ...json,
      ...bearer(await tokenOf({ sha: 'main', repository: 'a\nb/c', actor: 'ann\u202Eeve', run_id: '1; rm' })),
    });
    const { commit, sourceRepository, actor, buildId } = pushes[0] ?? {};
    assert.deepEqual([commit, sourceRepository, actor, buildId], [undefined, undefined, undefined, undefined]);
    assert.equal(pushes.length, 1);
  });

  it('serves on while the issuer is down, and says 502 where it never had the keys', async () => {
    const token = bearer(await tokenOf());
    assert.equal((await post(event)).status, 202);
    issuer.goDown();
    try {
      assert.equal((await post(event, { ...json, ...token })).status, 202);
      await serveAnew({});
      assert.equal((await post(event, { ...json, ...token })).status, 502);
      assert.match(ingress.logged(), /OIDC token validation failed/);
    } finally {
      issuer.comeBack();
    }
  });

  it('takes keys in any case, as Go does', async () => {
    assert.equal((await post({ Image: 'ghcr.io/test-org/app', TAGS: ['dev'] })).status, 202);
    assert.equal((await post('{"image":"ghcr.io/evil/x","IMAGE":"ghcr.io/test-org/app","tags":[],"tags":["v1"]}')).status, 202);
    assert.deepEqual(
      pushes.map(({ repository, tag }) => `${repository}:${tag}`),
      ['ghcr.io/test-org/app:dev', 'ghcr.io/test-org/app:v1'],
    );
  });

  it('refuses images and tags that are none', () => {
    const receiver = only(
      eventSource.open({ event: settings({ imagePrefix: ['ghcr.io/test-org/', 'docker-org/'] }) }, contextOf({})),
    );
    const parse = (body: unknown) => parseWith(receiver, body).pushes.map(({ repository, tag }) => `${repository}:${tag}`);
    const app = 'ghcr.io/test-org/app';
    const digest = `sha256:${'0'.repeat(64)}`;
    const images = ['', ' ', null, 7, {}, [app], 'ghcr.io', 'app', `${app}:dev`, `${app}@${digest}`, `${app}:dev@${digest}`];
    const odd = [
      `https://${app}`,
      ` ${app}`,
      `${app} `,
      'ghcr.io/test-org',
      'ghcr.io/test-org/',
      'ghcr.io/test-org/../evil/app',
      `${app}?x`,
    ];
    const strange = [
      `${app}${'/'.repeat(600)}`,
      'ghcr.io/test-org/\u212Ailo',
      'ghcr.io/test-org//app',
      'ghcr.io/test-org/äpp',
      `ghcr.io/test-org/${'a'.repeat(300)}`,
      'ghcr.io/test-orgevil/app',
    ];
    for (const image of [...images, ...odd, ...strange, 'GHCR.IO/test-org/app', 'ghcr.io/Test-Org/app']) {
      assert.throws(() => parse({ image, tags: ['dev'] }), { name: 'Problem', status: 400 }, JSON.stringify(image));
    }
    const tags = [
      null,
      'dev',
      {},
      [],
      [''],
      [null],
      [7],
      ['dev', ''],
      [['dev']],
      ['-dev'],
      ['.dev'],
      ['a b'],
      ['a'.repeat(129)],
      ['dev\n'],
    ];
    const tooMany = Array.from({ length: 1001 }, (_, at) => `v${at}`);
    assert.equal(parse({ image: app, tags: tooMany.slice(1) }).length, 1000);
    for (const bad of [...tags, tooMany, ['ä'], ['a:b'], [digest], ['dev', { toString: 'x' }]]) {
      assert.throws(() => parse({ image: app, tags: bad }), { name: 'Problem', status: 400 }, JSON.stringify(bad));
    }
    for (const body of [null, [], [event], 'event', 7, true, { ...event, digest: digest }, { ...event, '': 1 }]) {
      assert.throws(() => parse(body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
    assert.throws(() => parse(JSON.parse(`{"image":"${app}","tags":["dev"],"__proto__":1}`)), { name: 'Problem', status: 400 });
    assert.deepEqual(parse({ image: 'ghcr.io/test-org/Sub/APP', tags: ['Dev_1.0-x'] }), ['ghcr.io/test-org/sub/app:Dev_1.0-x']);
    assert.deepEqual(parse({ image: `${app}//`, tags: ['dev'] }), [`${app}:dev`]);
    assert.deepEqual(parse({ image: 'docker-org/app', tags: ['dev'] }), ['docker.io/docker-org/app:dev']);
    const capitals = only(eventSource.open({ event: settings({ imagePrefix: ['ghcr.io/Test-Org/'] }) }, contextOf({})));
    for (const image of ['ghcr.io/Test-Org/App', 'ghcr.io/test-org/app'])
      assert.equal(parseWith(capitals, { image, tags: ['dev'] }).pushes[0]?.repository, app);
    assert.throws(() => parseWith(capitals, { image: 'ghcr.io/test-orgevil/app', tags: ['dev'] }), {
      name: 'Problem',
      status: 400,
    });
  });

  it('says what was expected without repeating what was sent', async () => {
    for (const body of [
      { image: 'canary/x', tags: ['dev'] },
      { ...event, canary: 1 },
      { ...event, tags: ['canary x'] },
    ]) {
      const answer = await post(body);
      const text = await answer.text();
      assert.equal(answer.status, 400);
      assert.match(text, /Expected /);
      assert.ok(!text.includes('canary'), text);
    }
  });
});

function withoutCommit({ commit: _, ...push }: ReceivedPush): ReceivedPush {
  return push;
}
