import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isDigest, isTag, parseRepository } from '../../src/domain/image-reference.ts';
import { githubSource } from '../../src/sources/github/index.ts';
import { contextOf, only, type ParsedPushes, parseWith, receivedAt } from '../api/support/receivers.ts';

const deliveryId = '72d3162e-cc78-11e3-81ab-4c9367dc0958';
const headers = { 'x-github-event': 'repository_dispatch', 'x-github-delivery': deliveryId };
const digest = `sha256:${'a'.repeat(64)}`;
const sha = '68d2fd4969f35b650b5863da9220a2561ced6f7b';
const image = 'ghcr.io/team/app';

/** As a CI job sends it, with some of it replaced. */
function dispatched(payload: object = {}, action: unknown = 'image_published'): object {
  const client_payload = { service: 'app', image, tag: 'v1', digest, sha, repository: 'Team/app', ...payload };
  return { action, branch: 'main', client_payload, repository: { full_name: 'Team/deployment' }, sender: { login: 'ci-bot' } };
}

function parse(body: unknown, reading: { dispatches?: string[] } = {}): ParsedPushes {
  return parseWith(
    only(githubSource.open({ github: { secrets: ['env:SECRET'], ...reading } }, contextOf({ SECRET: 'secret' }))),
    body,
    { headers },
  );
}

const push = (payload: object = {}) => parse(dispatched(payload)).pushes[0];

/** The payload is whatever its sender wrote: only who that is, GitHub says. */
const ofSender = { by: 'forge', fields: ['actor'], actorOf: 'github' } as const;

describe('a repository_dispatch at the GitHub receiver', () => {
  it('is a push of the image that its payload names', () => {
    assert.deepEqual(parse(dispatched()), {
      event: 'repository_dispatch',
      action: 'image_published',
      deliveryId,
      pushes: [
        {
          source: 'github',
          deliveryId,
          repository: image,
          tag: 'v1',
          digest,
          commit: sha,
          sourceRepository: 'Team/app',
          actor: 'ci-bot',
          proven: ofSender,
          receivedAt,
        },
      ],
    });
  });

  it('may name a whole reference in place of a repository', () => {
    const expected = { repository: 'ghcr.io:443/team/app', tag: 'V1', digest };
    for (const payload of [
      { image: `ghcr.io:443/Team/App:V1@${digest}`, tag: undefined, digest: undefined },
      { image: 'GHCR.io:443/team/app/', tag: 'V1' },
      { image: 'https://ghcr.io:443/team/app:V1', tag: 'V1' },
      { image: `ghcr.io:443/team/app@${digest}`, tag: 'V1', digest: null },
    ]) {
      const { repository, tag, digest: found } = push(payload) ?? {};
      assert.deepEqual({ repository, tag, digest: found }, expected, JSON.stringify(payload));
    }
  });

  it('needs nothing but image and tag, and leaves out what is no commit and no repository', () => {
    const least = { source: 'github', deliveryId, repository: image, tag: 'v1', receivedAt };
    const bare = { ...dispatched(), client_payload: { image, tag: 'v1' }, sender: null };
    assert.deepEqual(parse(bare).pushes, [least]);
    const odd = { digest: '', sha: 'main\nx', repository: 'a b', service: null };
    assert.deepEqual(push(odd), { ...least, actor: 'ci-bot', proven: ofSender });
    assert.equal(push({ repository: 'https://user:pw@host/x' })?.sourceRepository, undefined);
    assert.equal(push({ repository: 'https://gitlab.example/a/b' })?.sourceRepository, 'https://gitlab.example/a/b');
  });

  it('may have several tags, as the action dispatch_on_image_push_success sends them', () => {
    const sent = { repository: 'team/app', tags: '["v1","latest","v1"]', digest, commit: sha, run_id: '17', timestamp: 'now' };
    const { pushes } = parse({ ...dispatched(), client_payload: { ...sent, image } });
    const common = {
      source: 'github',
      deliveryId,
      receivedAt,
      repository: image,
      digest,
      commit: sha,
      buildId: '17',
      actor: 'ci-bot',
      proven: ofSender,
    };
    assert.deepEqual(pushes, [
      { ...common, tag: 'v1', sourceRepository: 'team/app' },
      { ...common, tag: 'latest', sourceRepository: 'team/app' },
    ]);
    const tagsOf = (payload: object) => parse(dispatched({ tag: null, ...payload })).pushes.map(({ tag }) => tag as string);
    assert.deepEqual(tagsOf({ tags: ['v2'] }), ['v2']);
    assert.deepEqual(tagsOf({ tags: '["v2"]', image: `${image}:v2` }), ['v2']);
    assert.deepEqual(tagsOf({ tags: 'v2\nv3, latest' }), ['v2', 'v3', 'latest']);
    assert.deepEqual(tagsOf({ tags: `["${image}:v2", "v3"]` }), ['v2', 'v3']);
    assert.equal(push({ repository: image, source_repository: 'team/source' })?.sourceRepository, 'team/source');
    for (const tags of ['no tag!', '[7]', '{}', '"v2"', 7, {}, '["v2"', '["no tag"]', '[]', Array(101).fill('v2')]) {
      assert.throws(() => tagsOf({ tags }), { status: 400 }, JSON.stringify(tags).slice(0, 40));
    }
    assert.throws(() => tagsOf({ tags: '["v2","v3"]', image: `${image}:v2` }), { status: 400, message: /without a tag/ });
    // Without an image it is meant for somebody else.
    assert.match(parse({ ...dispatched(), client_payload: sent }).ignored ?? '', /names no image/);
  });

  it('is ignored where Landfall itself sent it, whatever else it says', () => {
    for (const rollout_id of ['rollout:app:v1:abc', 7, {}]) {
      const { pushes, ignored } = parse(dispatched({ rollout_id, image: 7 }));
      assert.deepEqual(pushes, []);
      assert.match(ignored ?? '', /Landfall itself/);
    }
    for (const rollout_id of ['', null]) assert.equal(push({ rollout_id })?.tag, 'v1');
  });

  it('has a configured name, image_published unless said otherwise', () => {
    assert.match(parse(dispatched({}, 'deploy')).ignored ?? '', /expected the action image_published$/);
    assert.equal(parse(dispatched({}, 'deploy'), { dispatches: ['deploy', 'x'] }).pushes.length, 1);
    assert.match(parse(dispatched(), { dispatches: ['deploy', 'x'] }).ignored ?? '', /deploy or x$/);
    for (const action of [null, 7, 'image_published\n', 'IMAGE_PUBLISHED', 'x'.repeat(10_000)]) {
      assert.deepEqual(parse(dispatched({}, action)).pushes, [], String(action).slice(0, 30));
    }
    assert.deepEqual(parse({ ...dispatched(), action: undefined }).pushes, []);
  });

  it('is refused where its payload is of another form, with what was expected and without what was sent', () => {
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ image: undefined }, /client_payload\.image as an image/],
      [{ image: 7 }, /client_payload\.image as text/],
      [{ image: 'canary' }, /with its registry/],
      [{ image: 'canary/app' }, /with its registry/],
      [{ image: `ghcr.io/${'canary/'.repeat(1000)}x` }, /with its registry/],
      [{ image: `${image}:canary` }, /without a tag, or with the one of client_payload\.tag/],
      [{ image: `${image}@sha256:canary` }, /without a digest/],
      [{ tag: undefined }, /client_payload\.tag as a tag/],
      [{ tag: '' }, /client_payload\.tag as a tag/],
      [{ tag: ['v1'] }, /client_payload\.tag as text/],
      [{ tag: 'canary!' }, /client_payload\.tag as a tag/],
      [{ digest: 'sha256:canary' }, /client_payload\.digest as sha256/],
      [{ digest: 7 }, /client_payload\.digest as text/],
      [{ sha: 7 }, /client_payload\.sha as text/],
      [{ repository: {} }, /client_payload\.repository as text/],
      [{ service: ['canary'] }, /client_payload\.service as text/],
    ];
    for (const [payload, message] of wrong) {
      assert.throws(
        () => parse(dispatched(payload)),
        (error: Error & { status?: number }) => {
          assert.equal(error.status, 400);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /canary/);
          return true;
        },
      );
    }
    for (const client_payload of [undefined, null, 'text', 7, [{ image, tag: 'v1' }]]) {
      assert.throws(() => parse({ ...dispatched(), client_payload }), { status: 400, message: /client_payload as an object/ });
    }
  });

  it('is either a push of a well-formed image, or refused with 400, whatever JSON stands in it', () => {
    const fields = ['service', 'image', 'tag', 'tags', 'digest', 'sha', 'commit', 'run_id', 'repository', 'rollout_id'];
    const anyValue = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.string({ unit: 'binary' }),
      fc.constant(`ghcr.io/${'a/'.repeat(5_000)}b`),
    );
    fc.assert(
      fc.property(fc.constantFrom(...fields), anyValue, anyValue, (field, value, other) => {
        for (const body of [
          dispatched({ [field]: value }),
          dispatched({ [field]: value, tag: other }),
          { ...dispatched(), sender: value },
        ]) {
          try {
            for (const { repository, tag, digest: found, ...rest } of parse(body).pushes) {
              assert.equal(parseRepository(repository), repository);
              assert.ok(tag !== undefined && isTag(tag) && (found === undefined || isDigest(found)));
              assert.doesNotMatch(JSON.stringify(rest), /\\[nrtu]/);
            }
          } catch (error) {
            assert.equal((error as { status?: number }).status, 400, String(error));
          }
        }
      }),
      { seed: 20261121, numRuns: 1_000 },
    );
  });
});
