import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { onRequest } from '../../examples/cloudflare/functions/webhook/[[path]].js';
import worker from '../../examples/cloudflare/src/index.js';
import { reservePort } from '../../src/platform/ports.ts';
import { type Vector, vectorsOf } from '../api/support/vectors.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { startWorkerd } from '../support/workerd.ts';

const secret = 'webhook-secret';
const path = '/webhook/image-published';
const events = vectorsOf('github').filter(({ headers }) => headers['X-GitHub-Event'] !== undefined);
const example = events.find(({ images: [image] }) => image?.digest) ?? assert.fail('no image');

function signed({ raw, headers }: Pick<Vector, 'raw' | 'headers'>, key = secret) {
  const signature = `sha256=${createHmac('sha256', key).update(raw).digest('hex')}`;
  return {
    method: 'POST',
    body: raw,
    headers: { ...headers, 'Content-Type': 'application/json', 'X-Hub-Signature-256': signature },
  };
}

describe('the Worker of examples/cloudflare without a Landfall', function () {
  this.timeout(30_000);
  let github: GitHub;
  let settings: Record<string, string>;
  let running: Awaited<ReturnType<typeof startWorkerd>>;

  before(async () => {
    github = await startGitHub();
    await github.createRepository('team/deployment');
    settings = {
      DEPLOYMENT_REPOSITORY: 'team/deployment',
      WEBHOOK_SECRET: secret,
      WEBHOOK_SECRET_OLD: 'old-secret',
      GITHUB_TOKEN: token,
      GITHUB_API_URL: github.url,
    };
    running = await startWorkerd(settings);
  });
  after(async () => {
    await running?.stop();
    await github?.stop();
  });

  const dispatches = () => github.repository('team/deployment').dispatches;
  const post = (request: RequestInit, at = path): Promise<Response> => fetch(`${running.url}${at}`, request);
  /** Where another setting is needed: Node has the same interfaces. */
  const postTo = (others: Record<string, string>, request: RequestInit = signed(example)): Promise<Response> =>
    worker.fetch(new Request(`https://hooks.example.org${path}`, request), { ...settings, ...others });

  it('tells GitHub of the images that Landfall itself would read in its events, and of nothing else', async () => {
    for (const event of events) {
      const before = dispatches().length;
      const answer = await post(signed(event));
      const told = dispatches().slice(before);
      assert.deepEqual(
        told.map(({ eventType, payload: { image, tag, digest = null } }) => ({ eventType, image, tag, digest })),
        event.images.map(({ repository, tag, digest }) => ({ eventType: 'image_published', image: repository, tag, digest })),
        `${event.name}: ${answer.status} ${await answer.text()}`,
      );
      assert.equal(answer.status === 202, told.length === 1, event.name);
    }
    const { service, image, repository } = dispatches().at(-1)?.payload ?? {};
    assert.ok(String(image).endsWith(`/${service}`));
    assert.match(String(repository), /^[^/]+\/[^/]+$/);
  });

  it('takes only what is signed with the secret, or the one before it', async () => {
    const before = dispatches().length;
    const right = signed(example);
    const { 'X-Hub-Signature-256': signature } = right.headers;
    const others = [
      '',
      'sha256=',
      signature.slice(0, -1),
      signature.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
      signature.slice(7),
    ];
    for (const wrong of others) {
      const answer = await post({ ...right, headers: { ...right.headers, 'X-Hub-Signature-256': wrong } });
      assert.equal(answer.status, 401, wrong);
    }
    assert.equal((await post({ ...right, body: `${right.body} ` })).status, 401);
    assert.equal((await post(signed(example, 'another'))).status, 401);
    assert.equal((await post(signed({ ...example, raw: 'payload=%7B%7D' }))).status, 400);
    assert.equal((await post(right, '/webhook/harbor')).status, 404);
    assert.equal((await fetch(`${running.url}${path}`)).status, 405);
    assert.equal(dispatches().length, before);
    assert.equal((await post(signed(example, 'old-secret'))).status, 202);
  });

  it('says what is wrong between it and GitHub, but no secret', async () => {
    const refused = await postTo({ GITHUB_TOKEN: 'ghp_canary' });
    github.failNext({ status: 503 });
    for (const [answer, what] of [
      [await post(signed(example)), /GitHub answered the dispatch with 503/],
      [refused, /with 401\. Check GITHUB_TOKEN/],
      [await postTo({ GITHUB_API_URL: `http://127.0.0.1:${await reservePort()}` }), /Send it again later/],
    ] as const) {
      const text = await answer.text();
      assert.equal(answer.status, 502);
      assert.match(text, what);
      assert.doesNotMatch(text, /canary|ghp_|127\.0\.0\.1/);
    }
    for (const missing of ['WEBHOOK_SECRET', 'GITHUB_TOKEN'])
      assert.equal((await postTo({ [missing]: '', WEBHOOK_SECRET_OLD: '' })).status, 503);
  });

  it('is a function of Pages as well', async () => {
    const request = new Request(`https://hooks.example.org${path}`, signed(example));
    assert.equal((await onRequest({ request, env: settings })).status, 202);
  });
});
