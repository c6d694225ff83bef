import assert from 'node:assert/strict';
import type { AcceptPushes } from '../../../src/api/accept-pushes.ts';
import { Problem } from '../../../src/api/problem.ts';
import { createEventReceiver, type EventSettings, eventFromEnvironment, eventSource } from '../../../src/api/receivers/event.ts';
import type { ReceivedPush } from '../../../src/api/receivers/receiver.ts';
import { githubJobClaims, type OidcIssuer, startOidcIssuer } from '../../support/oidc-issuer.ts';
import { contextOf, imagesOf, parseWith, verdictOf } from '../support/receivers.ts';
import { bearer, vectorsOf } from '../support/vectors.ts';
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
      (log) => createEventReceiver(settings(more), { log }),
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
      assert.deepEqual(imagesOf({ event: '', deliveryId: '', pushes: pushes.map(withoutCommit) }), vector.images);
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
    });
    assert.ok(deliveryId && receivedAt);
    assert.equal(pushes[1]?.deliveryId, deliveryId);
  });

  const gitlabClaims = {
    namespace_path: 'Group/sub',
    project_path: 'group/sub/app',
    ref: 'main',
    ref_type: 'branch',
    ref_path: 'refs/heads/main',
    sha: githubJobClaims.sha,
    user_login: 'ann',
    pipeline_id: '77',
    job_id: '78',
    ci_config_ref_uri: 'gitlab.example.com/group/sub/app//.gitlab-ci.yml@refs/heads/main',
  };

  it('knows the job of GitLab by its token, and takes a group for its subgroups', async () => {
    const receiver = createEventReceiver(settings({ issuers: [{ gitlab: issuer.url }], owners: ['group'] }), contextOf({}));
    const gitlab = async (claims: object) =>
      verdictOf(receiver, {
        headers: { authorization: `Bearer ${await issuer.sign({ aud: audience, ...gitlabClaims, ...claims })}` },
      });
    assert.deepEqual(await gitlab({}), {
      authentic: true,
      identity: { commit: githubJobClaims.sha, sourceRepository: `${issuer.url}/group/sub/app`, actor: 'ann', buildId: '78' },
    });
    for (const namespace_path of [
      'group-evil',
      'groupsub',
      'other/group',
      'other/group/sub',
      undefined,
      '',
      7,
      null,
      ['group'],
    ]) {
      assert.equal((await gitlab({ namespace_path })).authentic, false, String(namespace_path));
    }
    // A GitLab can say whatever it likes in the claims of GitHub.
    assert.equal((await gitlab({ namespace_path: 'evil', repository_owner: 'group' })).authentic, false);
  });

  it('compares owners whole, without regard to case', async () => {
    const isTaken = async (repository_owner: unknown) =>
      (await post(event, { ...json, ...bearer(await tokenOf({ repository_owner })) })).status === 202;
    for (const owner of ['test-org', 'TEST-ORG', 'Test-Org']) assert.ok(await isTaken(owner), owner);
    const others = [
      'test-org-evil',
      'evil-test-org',
      'test-or',
      'test_org',
      'test-org ',
      ' test-org',
      'test-org/',
      'test-org/sub',
    ];
    const folded = ['te\u017ft-org', 'test-org\u0000', 'tést-org', 'test-org\n'];
    for (const owner of [...others, ...folded, '', '*', undefined, null, 7, true, ['test-org'], { 0: 'test-org' }]) {
      assert.equal(await isTaken(owner), false, JSON.stringify(owner));
    }
    await serveAnew({ owners: ['kilo'] });
    assert.equal(await isTaken('KILO'), true);
    // The sign of Kelvin is a k in lower case.
    assert.equal(await isTaken('\u212Ailo'), false);
  });

  it('takes only the repositories, refs and workflows that are allowed', async () => {
    const cases: [Partial<EventSettings>, object, boolean][] = [
      [{ repositories: ['test-org/app'] }, {}, true],
      [{ repositories: ['Test-Org/*'] }, {}, true],
      [{ repositories: ['test-org/a'] }, {}, false],
      [{ repositories: ['other/*', 'test-org/app'] }, {}, true],
      [{ repositories: ['test-org/app'] }, { repository: 'test-org/app-evil' }, false],
      [{ repositories: ['*'] }, { repository: undefined }, false],
      [{ repositories: ['*'] }, { repository: ['test-org/app'] }, false],
      [{ refs: ['refs/heads/main'] }, {}, true],
      [{ refs: ['refs/heads/main'] }, { ref: 'refs/heads/main2' }, false],
      [{ refs: ['refs/heads/main'] }, { ref: 'refs/heads/MAIN' }, false],
      [{ refs: ['refs/tags/v*'] }, { ref: 'refs/tags/v1.0' }, true],
      [{ refs: ['refs/tags/v*.*'] }, { ref: 'refs/tags/v1' }, false],
      [{ refs: ['*a*a*'] }, { ref: 'a' }, false],
      [{ refs: ['*a*a*'] }, { ref: 'xaxax' }, true],
      [{ refs: ['aba*ba'] }, { ref: 'aba' }, false],
      [{ refs: ['a*b*b'] }, { ref: 'ab' }, false],
      [{ workflows: ['release.yml'] }, {}, true],
      [{ workflows: ['.github/workflows/release.yml'] }, {}, true],
      [{ workflows: ['test-org/app/.github/workflows/release.yml@refs/heads/main'] }, {}, true],
      [{ workflows: ['*/release.yml@refs/heads/main'] }, {}, true],
      [{ workflows: ['Release'] }, {}, false],
      [
        { workflows: ['release.yml'] },
        { workflow: 'release.yml', workflow_ref: 'o/n/.github/workflows/x.yml@refs/heads/main' },
        false,
      ],
      [{ workflows: ['release.yml'] }, { workflow_ref: 'o/n/.github/workflows/x.yml@refs/heads/release.yml' }, false],
      [{ workflows: ['release.yml'] }, { workflow_ref: undefined }, false],
    ];
    for (const [allowed, claims, isTaken] of cases) {
      const receiver = createEventReceiver(settings(allowed), contextOf({}));
      const { authentic } = await verdictOf(receiver, { headers: { authorization: `Bearer ${await tokenOf(claims)}` } });
      assert.equal(authentic, isTaken, JSON.stringify([allowed, claims]));
    }
  });

  it('keeps the owners of its issuers apart', async () => {
    const other = await startOidcIssuer();
    try {
      const issuers: EventSettings['issuers'] = [
        { github: issuer.url, owners: ['test-org'] },
        { gitlab: other.url, owners: ['group'] },
      ];
      const receiver = createEventReceiver(settings({ issuers }), contextOf({}));
      const isTaken = async (token: string) =>
        (await verdictOf(receiver, { headers: { authorization: `Bearer ${token}` } })).authentic;
      assert.ok(await isTaken(await tokenOf()));
      assert.ok(await isTaken(await other.sign({ aud: audience, ...gitlabClaims })));
      assert.ok(!(await isTaken(await other.sign({ aud: audience, ...gitlabClaims, namespace_path: 'test-org' }))));
      assert.ok(!(await isTaken(await other.sign({ aud: audience, ...githubJobClaims }))));
      assert.ok(!(await isTaken(await tokenOf({ ...gitlabClaims, repository_owner: 'group' }))));
    } finally {
      await other.stop();
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
    const receiver = createEventReceiver(settings({ imagePrefix: ['ghcr.io/test-org/', 'docker-org/'] }), contextOf({}));
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
    for (const bad of [...tags, ['ä'], ['a:b'], [digest], ['dev', { toString: 'x' }]]) {
      assert.throws(() => parse({ image: app, tags: bad }), { name: 'Problem', status: 400 }, JSON.stringify(bad));
    }
    for (const body of [null, [], [event], 'event', 7, true, { ...event, digest: digest }, { ...event, '': 1 }]) {
      assert.throws(() => parse(body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
    assert.throws(() => parse(JSON.parse(`{"image":"${app}","tags":["dev"],"__proto__":1}`)), { name: 'Problem', status: 400 });
    assert.deepEqual(parse({ image: 'ghcr.io/test-org/Sub/APP', tags: ['Dev_1.0-x'] }), ['ghcr.io/test-org/sub/app:Dev_1.0-x']);
    assert.deepEqual(parse({ image: `${app}//`, tags: ['dev'] }), [`${app}:dev`]);
    assert.deepEqual(parse({ image: 'docker-org/app', tags: ['dev'] }), ['docker.io/docker-org/app:dev']);
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

describe('the settings of events', () => {
  const check = () => undefined;
  const read = (value: unknown) => eventSource.settings(check).safeParse(value);
  const whole = { audience, owners: 'team', imagePrefix: 'ghcr.io/team/' };

  it('take one or a list, and leave out slashes at the end of issuers', () => {
    assert.deepEqual(read({ ...whole, issuers: [{ github: true }, { gitlab: 'https://gitlab.com/' }] }).data, {
      audience: [audience],
      owners: ['team'],
      imagePrefix: ['ghcr.io/team/'],
      issuers: [{ github: true }, { gitlab: 'https://gitlab.com' }],
    });
  });

  it('refuse what would let strangers in, or in the clear', () => {
    const { owners: _, ...withoutOwners } = whole;
    assert.match(read(withoutOwners).error?.message ?? '', /expected owners/);
    assert.ok(read({ ...withoutOwners, issuers: [{ github: true, owners: ['team'] }] }).success);
    assert.ok(
      !read({ ...withoutOwners, issuers: [{ github: true, owners: ['team'] }, { gitlab: 'https://gitlab.com' }] }).success,
    );
    for (const gitlab of [
      'http://gitlab.example',
      'https://user:pass@gitlab.example',
      'https://x.example?a=b',
      'gitlab.com',
      true,
      7,
    ]) {
      assert.ok(!read({ ...whole, issuers: [{ gitlab }] }).success, String(gitlab));
    }
    assert.ok(read({ ...whole, issuers: [{ gitlab: 'http://127.0.0.1:8080' }] }).success);
    for (const missing of ['audience', 'imagePrefix']) assert.ok(!read({ ...whole, [missing]: undefined }).success, missing);
    for (const owners of ['', [], [''], 7, null]) assert.ok(!read({ ...whole, owners }).success, JSON.stringify(owners));
    assert.ok(!read({ ...whole, issuers: [{ github: true, gitlab: 'https://gitlab.com' }] }).success);
    assert.ok(!read({ ...whole, issuers: [{ github: false }] }).success);
    assert.ok(!read({ ...whole, surprise: 1 }).success);
  });

  it('open the receiver only where they are there', () => {
    assert.deepEqual(eventSource.open({}, contextOf({})), []);
    assert.deepEqual(
      eventSource.open({ event: read(whole).data }, contextOf({})).map(({ path }) => path),
      ['/event'],
    );
  });

  const three = { GITHUB_OIDC_AUDIENCE: audience, GITHUB_ALLOWED_ORG: 'team', ALLOWED_IMAGE_PREFIX: 'ghcr.io/team/' };

  it('come from three variables alone', () => {
    const found = eventFromEnvironment(three);
    assert.deepEqual(found, {
      settings: {
        audience: [audience],
        owners: ['team'],
        imagePrefix: ['ghcr.io/team/'],
        issuers: [{ github: 'https://token.actions.githubusercontent.com' }],
      },
    });
    const elsewhere = eventFromEnvironment({ ...three, GITHUB_OIDC_ISSUER: 'https://ghes.example/_services/token/' });
    assert.match(JSON.stringify(elsewhere), /"github":"https:\/\/ghes.example\/_services\/token"/);
    assert.equal(eventFromEnvironment({ PATH: '/bin', GITHUB_OIDC_AUDIENCE: '' }), undefined);
  });

  it('name the variables that are missing', () => {
    const { GITHUB_ALLOWED_ORG: _, ...two } = three;
    assert.match(JSON.stringify(eventFromEnvironment(two)), /problem.*but GITHUB_ALLOWED_ORG is not set/);
    const one = eventFromEnvironment({ ALLOWED_IMAGE_PREFIX: 'x', GITHUB_ALLOWED_ORG: ' ' });
    assert.match(JSON.stringify(one), /but GITHUB_OIDC_AUDIENCE and GITHUB_ALLOWED_ORG are not set/);
    assert.match(
      JSON.stringify(eventFromEnvironment({ ...three, GITHUB_OIDC_ISSUER: 'http://evil.example' })),
      /problem.*https:/,
    );
  });
});

function withoutCommit({ commit: _, ...push }: ReceivedPush): ReceivedPush {
  return push;
}
