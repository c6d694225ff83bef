import assert from 'node:assert/strict';
import { type GarSettings, garSource } from '../../src/sources/gar/index.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { contextOf, imagesOf, isAuthentic, only, parseWith } from '../api/support/receivers.ts';
import { bearer, vectorsOf } from '../api/support/vectors.ts';
import { type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';
import { acceptAll, serveReceiver } from './event-ingress.ts';

const audience = 'https://landfall.example.org/webhook/gar';
const email = 'pubsub@my-project.iam.gserviceaccount.com';
const google = { aud: audience, email, email_verified: true, sub: '113774264463038321964', azp: '113774264463038321964' };
const digest = `sha256:${'0'.repeat(64)}`;
const app = 'us-docker.pkg.dev/my-project/my-repo/app';

describe('the Artifact Registry receiver', () => {
  let issuer: OidcIssuer;
  let receiver: Receiver;
  before(async () => {
    issuer = await startOidcIssuer();
    receiver = only(garSource.open({ gar: settings() }, contextOf({})));
  });
  after(() => issuer.stop());

  const settings = (): GarSettings => ({ audience: [audience], email: [email], issuer: issuer.url });
  const parse = (body: unknown, headers = {}) => parseWith(receiver, body, { headers });
  const wrapped = (notification: unknown, more: object = {}) => ({
    message: { data: Buffer.from(JSON.stringify(notification)).toString('base64'), messageId: '136969346945', ...more },
    subscription: 'projects/my-project/subscriptions/landfall',
  });
  const imageOf = (notification: object) => {
    const [image, ...others] = imagesOf(parse(wrapped({ action: 'INSERT', ...notification })));
    assert.deepEqual(others, []);
    return image && `${image.repository}:${image.tag}${image.digest === null ? '' : '@digest'}`;
  };

  for (const { name, raw, images } of vectorsOf('gar')) {
    it(`takes exactly the listed images from ${name}`, () => {
      assert.deepEqual(imagesOf(parse(JSON.parse(raw))), images);
    });
  }

  it('reads both references', () => {
    assert.equal(imageOf({ tag: `${app}:1.0`, digest: `${app}@${digest}` }), `${app}:1.0@digest`);
    assert.equal(imageOf({ tag: `${app}:1.0` }), `${app}:1.0`);
    assert.equal(imageOf({ tag: `${app}:1.0`, digest: null }), `${app}:1.0`);
    assert.equal(imageOf({ tag: `${app}:1.0`, digest: `other.pkg.dev/x/y@${digest}` }), `${app}:1.0`);
    assert.equal(imageOf({ tag: `${app}:1.0`, digest }), `${app}:1.0`);
  });

  it('starts nothing for a push without a tag, or for what was deleted', () => {
    for (const notification of [{ digest: `${app}@${digest}` }, { tag: '' }, { tag: null }, { tag: 7 }, { tag: app }]) {
      const { pushes, ignored } = parse(wrapped({ action: 'INSERT', ...notification }));
      assert.deepEqual([pushes, ignored], [[], 'no tag was pushed'], JSON.stringify(notification));
    }
    for (const action of ['DELETE', 'insert', '', null, 7, undefined]) {
      const { pushes, ignored } = parse(wrapped({ action, tag: `${app}:1.0`, digest: `${app}@${digest}` }));
      assert.deepEqual([pushes, ignored], [[], 'expected the action INSERT'], String(action));
    }
    assert.equal(parse({ action: 'DELETE', tag: `${app}:1.0` }).action, 'DELETE');
  });

  it('names the delivery after the message', () => {
    const idOf = (more: object) => parse(wrapped({ action: 'INSERT', tag: `${app}:1.0` }, more)).pushes[0]?.deliveryId;
    assert.equal(idOf({}), '136969346945');
    assert.equal(idOf({ messageId: undefined, message_id: '77' }), '77');
    for (const messageId of [undefined, null, 7, '', 'a\nb', '9'.repeat(41)])
      assert.match(idOf({ messageId }) ?? '', /^[0-9a-f-]{36}$/);
    const unwrapped = { action: 'INSERT', tag: `${app}:1.0` };
    assert.equal(parse(unwrapped, { 'x-goog-pubsub-message-id': '78' }).deliveryId, '78');
    assert.match(parse(unwrapped).deliveryId, /^[0-9a-f-]{36}$/);
  });

  it('refuses what is no message', () => {
    const data = (text: string) => ({ message: { data: Buffer.from(text).toString('base64') } });
    const bodies = [
      null,
      [],
      {},
      'text',
      { message: null },
      { message: {} },
      { message: { data: null } },
      { message: { data: 'ä' } },
    ];
    const contents = ['', 'no JSON', 'null', '[]', '"text"', '['.repeat(100)].map(data);
    const both = { action: 'INSERT', tag: `${app}:1.0`, message: { data: 7 } };
    const badTags = [
      `${app}:`,
      ':1.0',
      'https://x.pkg.dev/a:1',
      `${app}:1.0@sha256:0`,
      'ü/x:1',
      `x.pkg.dev/${'a'.repeat(600)}:1`,
      '@',
      '/',
    ];
    for (const body of [...bodies, ...contents, both, ...badTags.map((tag) => wrapped({ action: 'INSERT', tag }))]) {
      assert.throws(() => parse(body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
  });

  it('believes only tokens for its audience, of the configured account, with a verified e-mail', async () => {
    const isTaken = async (claims: object) =>
      isAuthentic(receiver, { headers: { authorization: `Bearer ${await issuer.sign({ ...google, ...claims })}` } });
    assert.ok(await isTaken({}));
    const wrong = [
      { aud: 'https://other.example' },
      { aud: undefined },
      { iss: 'https://accounts.google.com' },
      { exp: 1 },
      { email: 'pubsub@evil-project.iam.gserviceaccount.com' },
      { email: `x${email}` },
      { email: [email] },
      { email: undefined },
      { email_verified: false },
      { email_verified: 'true' },
      { email_verified: undefined },
    ];
    for (const claims of wrong) assert.ok(!(await isTaken(claims)), JSON.stringify(claims));
    for (const authorization of [undefined, '', 'Bearer', 'Bearer token', email]) {
      assert.ok(!(await isAuthentic(receiver, { headers: { ...(authorization !== undefined && { authorization }) } })));
    }
  });

  it('acknowledges by 2xx what Pub/Sub must not send again, and lets it send again what could not be verified', async () => {
    let later = 0;
    const now = () => Date.now() + later;
    const ingress = await serveReceiver(
      (log) => only(garSource.open({ gar: settings() }, { ...contextOf({}), log, now })),
      acceptAll,
    );
    const post = async (body: object, headers: Record<string, string>) =>
      await fetch(`${ingress.url}/webhook/gar`, { method: 'POST', headers, body: Buffer.from(JSON.stringify(body)) });
    try {
      const token = bearer(await issuer.sign(google));
      issuer.goDown();
      assert.equal((await post(wrapped({ action: 'INSERT', tag: `${app}:1.0` }), token)).status, 503);
      issuer.comeBack();
      later = 10_000;
      assert.equal((await post(wrapped({ action: 'INSERT', tag: `${app}:1.0` }), token)).status, 202);
      assert.equal((await post(wrapped({ action: 'DELETE' }), { ...token, 'Content-Type': 'application/json' })).status, 200);
      // Unwrapped, there is no media type at all.
      assert.equal((await post({ action: 'INSERT', tag: `${app}:1.0` }, token)).status, 202);
      assert.equal((await post({ action: 'INSERT', tag: `${app}:1.0` }, bearer('canary'))).status, 401);
      assert.match(ingress.logged(), /OIDC token validation failed/);
      assert.ok(!ingress.logged().includes('canary'));
    } finally {
      issuer.comeBack();
      await ingress.stop();
    }
  });

  it('is open only where audience and account are configured', () => {
    const read = (value: unknown) => garSource.settings(() => undefined).safeParse(value);
    const whole = { audience, email };
    assert.deepEqual(garSource.open({}, contextOf({})), []);
    assert.equal(garSource.open({ gar: read(whole).data }, contextOf({}))[0]?.path, '/webhook/gar');
    for (const wrong of [
      {},
      { audience },
      { email },
      { ...whole, email: '' },
      { ...whole, issuer: 'http://evil.example' },
      { ...whole, x: 1 },
    ]) {
      assert.ok(!read(wrong).success, JSON.stringify(wrong));
    }
  });
});
