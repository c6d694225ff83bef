import assert from 'node:assert/strict';
import { giteaSource } from '../../src/sources/gitea/index.ts';
import { contextOf, imagesOf, only, parseWith } from '../api/support/receivers.ts';
import { hmac, itRotatesItsSecret, itSurvivesOddBodies } from '../api/support/source-claims.ts';

const receiver = only(giteaSource.open({ gitea: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'secret' })));

/** The fields of PackagePayload and Package in Gitea. */
function created(fields: object = {}, event: object = {}) {
  return {
    action: 'created',
    repository: null,
    package: {
      id: 42,
      owner: { id: 1, login: 'Team', username: 'Team', full_name: 'The team' },
      repository: null,
      creator: { id: 2, login: 'ann' },
      type: 'container',
      name: 'app',
      version: 'v1.0.0',
      created_at: '2026-01-02T03:04:05Z',
      html_url: 'https://git.example.org/Team/-/packages/container/app/v1.0.0',
      ...fields,
    },
    organization: null,
    sender: { id: 2, login: 'ann', username: 'ann' },
    ...event,
  };
}

const headers = {
  'x-gitea-event': 'package',
  'x-gitea-event-type': 'package',
  'x-gitea-delivery': 'f6266f16-1bf3-46a5-9ea4-602e06ead473',
};
const image = { repository: 'git.example.org/team/app', tag: 'v1.0.0', digest: null };

describe('the gitea receiver', () => {
  for (const [product, prove] of [
    ['Gitea', (secret: string, body: string) => ({ 'x-gitea-signature': hmac(secret, body) })],
    ['Forgejo', (secret: string, body: string) => ({ 'x-forgejo-signature': hmac(secret, body) })],
    ['GitHub', (secret: string, body: string) => ({ 'x-hub-signature-256': `sha256=${hmac(secret, body)}` })],
  ] as const) {
    describe(`with the signature's header of ${product}`, () =>
      itRotatesItsSecret({
        open: (secrets, context) => giteaSource.open({ gitea: { secrets } }, context),
        prove,
        worthless: [
          // What a webhook without a secret sends.
          { 'x-gitea-signature': '', 'x-hub-signature-256': 'sha256=' },
          { 'x-gitea-signature': hmac('secret-of-today', 'another body') },
          { 'x-gitea-signature': 'secret-of-today' },
          { 'x-hub-signature-256': hmac('secret-of-today', '{"a":"request"}') },
          { 'x-hub-signature': `sha1=${hmac('secret-of-today', '{"a":"request"}', 'sha1')}` },
        ],
      }));
  }

  it('takes a package that was created, with the id of the delivery and who pushed', () => {
    const parsed = parseWith(receiver, created(), { headers });
    assert.deepEqual(imagesOf(parsed), [image]);
    assert.equal(parsed.deliveryId, 'f6266f16-1bf3-46a5-9ea4-602e06ead473');
    assert.equal(parsed.event, 'package');
    assert.equal(parsed.action, 'created');
    assert.equal(parsed.pushes[0]?.actor, 'ann');
  });

  it('takes the headers of Forgejo', () => {
    const parsed = parseWith(receiver, created(), {
      headers: { 'x-forgejo-event': 'package', 'x-forgejo-delivery': 'f6266f16-1bf3-46a5-9ea4-602e06ead473' },
    });
    assert.deepEqual(imagesOf(parsed), [image]);
    assert.equal(parsed.deliveryId, 'f6266f16-1bf3-46a5-9ea4-602e06ead473');
  });

  it('names images after the host of the page of the package, wherever its pages are', () => {
    const at = (fields: object) => imagesOf(parseWith(receiver, created(fields), { headers }))[0]?.repository;
    assert.equal(at({ name: 'group/Sub/app' }), 'git.example.org/team/group/sub/app');
    assert.equal(at({ html_url: 'http://localhost:3000/Team/-/packages/container/app/v1.0.0' }), 'localhost:3000/team/app');
    assert.equal(at({ html_url: 'https://Example.org:443/git/Team/-/packages/container/app/1' }), 'example.org/team/app');
    assert.equal(at({ html_url: 'http://gitea/Team/-/packages/container/app/1' }), 'gitea:80/team/app');
    assert.equal(at({ owner: { username: 'Old' } }), 'git.example.org/old/app');
  });

  it('ignores other events, actions and types, and pushes by digest', () => {
    const ignored = (body: object, event = 'package') => {
      const parsed = parseWith(receiver, body, { headers: { ...headers, 'x-gitea-event': event } });
      assert.deepEqual(parsed.pushes, []);
      return parsed.ignored;
    };
    assert.equal(ignored({ action: 'opened' }, 'issues'), 'expected the event package or push');
    assert.equal(ignored(created({}, { action: 'deleted' })), 'expected the action created');
    assert.equal(ignored(created({ type: 'npm' })), 'the package is not a container image');
    assert.equal(ignored(created({ version: `sha256:${'0'.repeat(64)}` })), 'no tag was pushed');
    assert.equal(ignored(created({ version: '' })), 'no tag was pushed');
  });

  it('refuses a tagged package without a name or a page, and what is no event', () => {
    for (const fields of [
      { name: '' },
      { name: '../x' },
      { owner: null },
      { html_url: null },
      { html_url: 'git.example.org' },
      { html_url: 'javascript:1' },
    ]) {
      assert.throws(
        () => parseWith(receiver, created(fields), { headers }),
        { name: 'Problem', status: 400 },
        JSON.stringify(fields),
      );
    }
    for (const body of [null, [], 'text', 1, {}, created({}, { package: null })]) {
      assert.throws(() => parseWith(receiver, body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
  });

  itSurvivesOddBodies(receiver, [{ whole: created(), headers }, { whole: created() }]);
});
