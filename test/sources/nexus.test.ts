import assert from 'node:assert/strict';
import { nexusSource } from '../../src/sources/nexus/index.ts';
import { contextOf, imagesOf, only, parseWith } from '../api/support/receivers.ts';
import { hmac, itRotatesItsSecret, itSurvivesOddBodies, itTakesVectors } from '../api/support/source-claims.ts';

const hosts = { 'docker-hosted': 'registry.example.org:8082', 'docker-other': 'nexus.example.org/docker-group' };
const opened = (names: object) =>
  only(nexusSource.open({ nexus: { secrets: ['env:SECRET'], ...names } }, contextOf({ SECRET: 'secret' })));
const receiver = opened({ hosts });

/** The fields of RepositoryComponentWebhook in Nexus 3. */
function component(fields: object = {}, event: object = {}) {
  return {
    timestamp: '2026-01-02T03:04:05.000+00:00',
    nodeId: '52905B51-085CCABB-CEBBEAAD-16795588-FC927D93',
    initiator: 'ann/192.0.2.7',
    repositoryName: 'docker-hosted',
    action: 'CREATED',
    component: {
      id: '08909bf0c86cf6c9600aade89e1c5e25',
      componentId: 'ZG9ja2VyLWhvc3RlZDowODkwOWJmMGM4NmNmNmM5NjAwYWFkZTg5ZTFjNWUyNQ',
      format: 'docker',
      name: 'team/app',
      group: null,
      version: '1.0.0',
      ...fields,
    },
    ...event,
  };
}

/** The fields of RepositoryAssetWebhook in Nexus 3. */
function asset(name: unknown, event: object = {}) {
  const { component: _, ...rest } = component();
  return { ...rest, asset: { id: '31c950c8', assetId: 'ZG9ja2Vy', format: 'docker', name }, ...event };
}

const headers = {
  'x-nexus-webhook-id': 'rm:repository:component',
  'x-nexus-webhook-delivery': '7f4a6dde-5c68-4999-bcc0-a62f3fb8ae48',
};
const image = { repository: 'registry.example.org:8082/team/app', tag: '1.0.0', digest: null };

describe('the nexus receiver', () => {
  itTakesVectors('nexus', receiver);

  itRotatesItsSecret({
    open: (secrets, context) => nexusSource.open({ nexus: { secrets, hosts } }, context),
    prove: (secret, body) => ({ 'x-nexus-webhook-signature': hmac(secret, body, 'sha1') }),
    worthless: [
      { 'x-nexus-webhook-signature': '' },
      { 'x-nexus-webhook-signature': hmac('secret-of-today', '{"a":"request"}') },
      { 'x-nexus-webhook-signature': hmac('secret-of-today', 'another body', 'sha1') },
      { 'x-nexus-webhook-signature': `sha1=${hmac('secret-of-today', '{"a":"request"}', 'sha1')}` },
    ],
  });

  it('takes a component, with the id of the delivery and who pushed', () => {
    const parsed = parseWith(receiver, component(), { headers });
    assert.deepEqual(imagesOf(parsed), [image]);
    assert.equal(parsed.deliveryId, '7f4a6dde-5c68-4999-bcc0-a62f3fb8ae48');
    assert.equal(parsed.event, 'rm:repository:component');
    assert.equal(parsed.action, 'CREATED');
    assert.equal(parsed.pushes[0]?.actor, 'ann');
    assert.deepEqual(imagesOf(parseWith(receiver, component({}, { action: 'UPDATED' }))), [image]);
  });

  it('takes the manifest among assets, in old and new versions', () => {
    for (const name of ['v2/team/app/manifests/1.0.0', '/v2/team/app/manifests/1.0.0']) {
      assert.deepEqual(imagesOf(parseWith(receiver, asset(name))), [image], name);
    }
    assert.equal(
      imagesOf(parseWith(receiver, asset('v2/manifests/manifests/manifests/1')))[0]?.repository,
      'registry.example.org:8082/manifests/manifests',
    );
  });

  it('ignores layers, manifests by digest, deletions and other formats', () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    for (const event of [
      asset(`v2/-/blobs/${digest}`),
      asset(`v2/team/app/manifests/${digest}`),
      asset('v2/team/app/tags/list'),
      component({ version: digest }),
      component({ version: '' }),
      component({}, { action: 'DELETED' }),
      component({}, { action: 'PURGED' }),
      component({ format: 'npm' }),
      { ...component(), component: undefined, components: ['1'], action: 'PURGED' },
      { timestamp: '', nodeId: '', initiator: '', repository: { format: 'docker', name: 'docker-hosted' }, action: 'CREATED' },
    ]) {
      const parsed = parseWith(receiver, event);
      assert.deepEqual(parsed.pushes, []);
      assert.ok(parsed.ignored);
    }
  });

  it('names images after the registry of their repository, with a path where there is one', () => {
    const at = (repositoryName: unknown, names: object = { hosts }) =>
      imagesOf(parseWith(opened(names), component({ name: 'Team/App' }, { repositoryName })))[0]?.repository;
    assert.equal(at('docker-other'), 'nexus.example.org/docker-group/team/app');
    assert.equal(at('docker-hosted'), 'registry.example.org:8082/team/app');
    assert.equal(at('unknown', { hosts, host: 'rest.example.org' }), 'rest.example.org/team/app');
    for (const name of ['unknown', 'constructor', '__proto__', undefined, null, 5])
      assert.equal(at(name), undefined, String(name));
  });

  it('says what to set for a repository that it does not know', () => {
    const parsed = parseWith(receiver, component({}, { repositoryName: 'unknown' }));
    assert.match(parsed.ignored ?? '', /receivers\.nexus\.hosts/);
  });

  it('is not configured without a registry', () => {
    const settings = nexusSource.settings(() => undefined);
    assert.match(settings.safeParse({ secrets: 'env:S' }).error?.message ?? '', /expected hosts \(or host\)/);
    assert.deepEqual(settings.parse({ secrets: 'env:S', hosts: { a: 'Nexus.example.org/Docker/' } }).hosts, {
      a: 'nexus.example.org/docker',
    });
    assert.equal(settings.safeParse({ secrets: 'env:S', hosts: { a: 'nexus' } }).success, false);
  });

  it('refuses a tagged component without a name, and what is no object', () => {
    for (const body of [component({ name: '' }), component({ name: null }), component({ name: 'a//b' }), null, [], 'text', 1]) {
      assert.throws(() => parseWith(receiver, body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
  });

  itSurvivesOddBodies(receiver, [{ whole: component(), headers }, { whole: asset('v2/team/app/manifests/1.0.0') }]);
});
