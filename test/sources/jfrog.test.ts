import assert from 'node:assert/strict';
import { jfrogSource } from '../../src/sources/jfrog/index.ts';
import { contextOf, imagesOf, only, parseWith } from '../api/support/receivers.ts';
import { hmac, itRotatesItsSecret, itSurvivesOddBodies, itTakesVectors } from '../api/support/source-claims.ts';

const opened = (names: object = {}) =>
  only(jfrogSource.open({ jfrog: { secrets: ['env:SECRET'], ...names } }, contextOf({ SECRET: 'secret' })));
const receiver = opened();
const sha256 = '35c4a2c15539c6c1e4e5fa4e554dac323ad0107d8eb5c582d6ff386b383b7dce';

function pushed(data: object = {}, event: object = {}) {
  return {
    domain: 'docker',
    event_type: 'pushed',
    data: {
      repo_key: 'docker-local',
      event_type: 'pushed',
      path: 'team/app/1.0.0/manifest.json',
      name: 'manifest.json',
      sha256,
      size: 1206,
      image_name: 'app',
      tag: '1.0.0',
      platforms: [],
      ...data,
    },
    subscription_key: 'landfall',
    jpd_origin: 'https://example.jfrog.io',
    source: 'jfrog/user@example.com',
    ...event,
  };
}

const digest = `sha256:${sha256}`;
const image = { repository: 'example.jfrog.io/docker-local/team/app', tag: '1.0.0', digest };

describe('the jfrog receiver', () => {
  itTakesVectors('jfrog', receiver);

  itRotatesItsSecret({
    open: (secrets, context) => jfrogSource.open({ jfrog: { secrets } }, context),
    prove: (secret, body) => ({ 'x-jfrog-event-auth': hmac(secret, body) }),
    worthless: [
      { 'x-jfrog-event-auth': '' },
      // What Artifactory sends where the secret is not used for signing.
      { 'x-jfrog-event-auth': 'secret-of-today' },
      { 'x-jfrog-event-auth': hmac('secret-of-today', 'another body') },
      { 'x-jfrog-event-auth': hmac('secret-of-today', '{"a":"request"}', 'sha1') },
      { authorization: 'Bearer secret-of-today' },
    ],
  });

  it('knows who pushed, and the digest of the manifest however it is written', () => {
    const parsed = parseWith(receiver, pushed({ sha256: sha256.toUpperCase() }));
    assert.deepEqual(imagesOf(parsed), [image]);
    assert.equal(parsed.pushes[0]?.actor, 'user@example.com');
    assert.equal(parsed.action, 'pushed');
  });

  it('names images after the registry and the virtual repository that it was told', () => {
    const named = (names: object, data: object = {}, origin: unknown = '') =>
      imagesOf(parseWith(opened(names), pushed(data, { jpd_origin: origin })))[0]?.repository;
    const host = 'registry.example.org:8443';
    assert.equal(named({ host }), 'registry.example.org:8443/docker-local/team/app');
    assert.equal(named({ host }, {}, 'https://example.jfrog.io'), 'registry.example.org:8443/docker-local/team/app');
    assert.equal(
      named({ repositories: { 'docker-local': 'docker' } }, {}, 'https://example.jfrog.io/'),
      'example.jfrog.io/docker/team/app',
    );
    assert.equal(named({ host, repositories: { other: 'docker' } }), 'registry.example.org:8443/docker-local/team/app');
    assert.equal(named({ host, hosts: { 'docker-local': 'docker.example.org' } }), 'docker.example.org/team/app');
    assert.equal(
      named({ host, repositories: {} }, { repo_key: 'constructor' }),
      'registry.example.org:8443/constructor/team/app',
    );
    assert.equal(
      named({ hosts: {} }, { repo_key: 'toString' }, 'https://example.jfrog.io'),
      'example.jfrog.io/tostring/team/app',
    );
    assert.equal(
      named({}, { repo_key: 'Docker-Local', path: '/Team//App/1.0.0/manifest.json' }, 'HTTPS://Example.JFrog.io/artifactory'),
      'example.jfrog.io/docker-local/team/app',
    );
    assert.equal(named({}, { path: undefined }, 'http://artifactory:8082'), 'artifactory:8082/docker-local/app');
    assert.equal(named({}, {}, 'http://artifactory'), 'artifactory:80/docker-local/team/app');
  });

  it('says what to set where the server does not say what it is called', () => {
    for (const origin of ['', null, undefined, 5, 'example.jfrog.io', 'file:///etc', 'ftp://example.org', 'x'.repeat(5000)]) {
      const parsed = parseWith(receiver, pushed({}, { jpd_origin: origin }));
      assert.deepEqual(parsed.pushes, []);
      assert.match(parsed.ignored ?? '', /receivers\.jfrog\.host/);
    }
  });

  it('ignores other domains and events, what has no tag, and what is no Docker image', () => {
    for (const event of [
      pushed({}, { event_type: 'deleted' }),
      pushed({}, { event_type: 'promoted' }),
      pushed({}, { domain: 'artifact' }),
      pushed({ tag: '' }),
      pushed({ tag: digest }),
      pushed({ image_type: 'oci' }),
    ]) {
      const parsed = parseWith(receiver, event);
      assert.deepEqual(parsed.pushes, []);
      assert.ok(parsed.ignored);
    }
  });

  it('refuses paths without an image, and what is no event', () => {
    for (const path of ['', '/', 'manifest.json', '1.0.0/manifest.json', '//1.0.0/manifest.json', '../../1.0.0/manifest.json']) {
      assert.throws(() => parseWith(receiver, pushed({ path })), { name: 'Problem', status: 400 }, path);
    }
    for (const body of [null, [], 'text', 1, {}, { domain: 'docker' }, pushed({ repo_key: undefined })]) {
      assert.throws(() => parseWith(receiver, body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
  });

  it('takes registries of its settings only where images can be named after them', () => {
    const settings = jfrogSource.settings(() => undefined);
    const of = (given: object) => settings.safeParse({ secrets: 'env:S', ...given });
    assert.deepEqual(of({ host: 'Registry.example.org:8443/', hosts: { local: 'docker.example.org' } }).data, {
      secrets: ['env:S'],
      host: 'registry.example.org:8443',
      hosts: { local: 'docker.example.org' },
    });
    for (const host of ['registry', 'https://registry.example.org', '', 'registry.example.org:port', 'a b.c', 5, null]) {
      assert.equal(of({ host }).success, false, String(host));
    }
    assert.equal(of({ repositories: { local: '../x' } }).success, false);
  });

  itSurvivesOddBodies(receiver, [{ whole: pushed() }]);
});
