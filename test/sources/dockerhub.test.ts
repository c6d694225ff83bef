import assert from 'node:assert/strict';
import { dockerhubSource } from '../../src/sources/dockerhub/index.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { contextOf, imagesOf, type ParsedPushes, parseWith, receivedAt } from '../api/support/receivers.ts';
import { vectorsOf } from '../api/support/vectors.ts';

const [receiver] = dockerhubSource.open({ dockerhub: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'x' })) as [Receiver];

describe('the Docker Hub receiver', () => {
  for (const { name, raw, images, status } of vectorsOf('dockerhub')) {
    it(`takes exactly the listed images from ${name}`, () => {
      if (status === undefined) assert.deepEqual(imagesOf(parse(JSON.parse(raw))), images);
      else assert.throws(() => parse(JSON.parse(raw)), { name: 'Problem', status });
    });
  }

  it('knows who pushed, and makes up an id', () => {
    const [push] = parse(pushed()).pushes;
    const { deliveryId, ...rest } = push ?? { deliveryId: '' };
    assert.match(deliveryId, /^[0-9a-f-]{36}$/);
    assert.deepEqual(rest, { source: 'dockerhub', repository: 'docker.io/team/app', tag: '1.0', actor: 'ann', receivedAt });
    assert.notEqual(parse(pushed()).deliveryId, deliveryId);
    assert.equal(parse(pushed({ pusher: 'ann\nSigned-off-by: eve' })).pushes[0]?.actor, undefined);
    assert.equal(parse(pushed({ pusher: 7 })).pushes[0]?.actor, undefined);
  });

  it('names a repository of Docker Hub, whatever it is called', () => {
    const at = (repository: unknown) => parse({ ...pushed(), repository }).pushes[0]?.repository;
    assert.equal(at({ repo_name: 'nginx' }), 'docker.io/library/nginx');
    assert.equal(at({ repo_name: 'Team/App' }), 'docker.io/team/app');
    assert.equal(at({ repo_name: 'team/app/' }), 'docker.io/team/app');
    assert.equal(at({ repo_name: 'evil.example/app' }), 'docker.io/evil.example/app');
    assert.equal(at({ repo_name: null, namespace: 'team', name: 'app' }), 'docker.io/team/app');
    assert.equal(at({ repo_name: '', namespace: null, name: 'app' }), 'docker.io/library/app');
  });

  it('leaves charts, plugins and other artifacts, and takes what may be an image', () => {
    const images = (media_type: unknown) => parse(pushed({ media_type })).pushes.length;
    for (const other of [
      'application/vnd.cncf.helm.config.v1+json',
      'APPLICATION/VND.CNCF.HELM.CONFIG.V1+JSON; charset=utf-8',
      'application/vnd.docker.plugin.v1+json',
      'application/vnd.oci.empty.v1+json',
      'application/vnd.docker.compose.project',
    ]) {
      assert.equal(images(other), 0, other);
      assert.match(parse(pushed({ media_type: other })).ignored ?? '', /not a container image/);
    }
    for (const image of [
      undefined,
      null,
      '',
      5,
      'application/vnd.oci.image.config.v1+json',
      'application/vnd.oci.image.index.v1+json',
      'application/vnd.oci.image.config.v1+json; charset=utf-8',
      'application/vnd.docker.distribution.manifest.list.v2+json',
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'application/json',
    ]) {
      assert.equal(images(image), 1, String(image));
    }
  });

  it('starts nothing without a tag', () => {
    for (const tag of ['', ' ', 'a b', '-x', `sha256:${'0'.repeat(64)}`, 'x'.repeat(129), 'é']) {
      const { pushes, ignored } = parse(pushed({ tag }));
      assert.deepEqual([pushes.length, ignored], [0, 'no tag was pushed'], tag);
    }
    for (const tag of [undefined, null, 1, {}, ['1.0']]) assertRefused(pushed({ tag }));
  });

  it('refuses what is no push', () => {
    for (const body of [null, [], 'push', 1, {}, { push_data: {} }, { repository: 'team/app', push_data: { tag: '1.0' } }])
      assertRefused(body);
    for (const repo_name of [
      '../app',
      'team/app:1.0',
      'team app',
      'https://hub.docker.com/r/team/app',
      'x'.repeat(100_000),
      `a${'/'.repeat(200_000)}b`,
    ]) {
      assertRefused({ ...pushed(), repository: { repo_name } });
    }
  });
});

function assertRefused(body: unknown): void {
  const shown = JSON.stringify(body).slice(0, 100);
  assert.throws(() => parse(body), { name: 'Problem', status: 400, message: /^Expected/ }, shown);
}

function parse(body: unknown): ParsedPushes {
  return parseWith(receiver, body);
}

function pushed(data: object = {}): object {
  return {
    push_data: { tag: '1.0', pusher: 'ann', pushed_at: 1_497_467_660, images: [], ...data },
    callback_url: 'https://registry.hub.docker.com/u/team/app/hook/x/',
    repository: { repo_name: 'team/app', name: 'app', namespace: 'team' },
  };
}
