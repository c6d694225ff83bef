import assert from 'node:assert/strict';
import { acrSource } from '../../src/sources/acr/index.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { contextOf, imagesOf, type ParsedPushes, parseWith, receivedAt } from '../api/support/receivers.ts';
import { vectorsOf } from '../api/support/vectors.ts';

const [receiver] = acrSource.open({ acr: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'x' })) as [Receiver];
const digest = `sha256:${'0a'.repeat(32)}`;

describe('the Azure Container Registry receiver', () => {
  for (const { name, raw, images, status } of vectorsOf('acr')) {
    it(`takes exactly the listed images from ${name}`, () => {
      if (status === undefined) assert.deepEqual(imagesOf(parse(JSON.parse(raw))), images);
      else assert.throws(() => parse(JSON.parse(raw)), { name: 'Problem', status });
    });
  }

  it('keeps the id of the event', () => {
    const id = 'cb8c3971-9adc-488b-bdd8-43cbb4974ff5';
    const { pushes, ...seen } = parse({ ...pushed(), id });
    assert.deepEqual(seen, { event: 'webhook', action: 'push', deliveryId: id });
    assert.deepEqual(pushes, [
      { source: 'acr', deliveryId: id, repository: 'team.azurecr.io/web/app', tag: '1.0', digest, receivedAt },
    ]);
    assert.match(parse({ ...pushed(), id: 'x\ny' }).deliveryId, /^[0-9a-f-]{36}$/);
  });

  it('says why it starts nothing', () => {
    const why = (body: object) => {
      const { pushes, ignored } = parse(body);
      assert.deepEqual(pushes, []);
      return ignored ?? '';
    };
    assert.match(why({ action: 'ping' }), /set up/);
    for (const action of ['delete', 'chart_delete', 'quarantine', 'constructor', 'push ']) {
      assert.match(why({ ...pushed(), action }), /expected the action push/, action);
    }
    assert.match(why({ ...pushed(), action: 'chart_push' }), /chart/);
    assert.match(why(pushed({ mediaType: 'application/vnd.acr.helm.chart' })), /not a container image/);
    assert.match(why(pushed({ mediaType: 'application/vnd.cncf.helm.config.v1+json' })), /not a container image/);
    assert.match(why(pushed({ mediaType: 'application/vnd.cncf.oras.artifact.manifest.v1+json' })), /not a container image/);
    assert.equal(why(pushed({ tag: '' })), 'no tag was pushed');
    assert.equal(why(pushed({ tag: null })), 'no tag was pushed');
    assert.equal(why(pushed({ tag: digest })), 'no tag was pushed');
  });

  it('names images after the host that was pushed to', () => {
    const at = (host: unknown, repository: unknown = 'app') =>
      parse({ ...pushed({ repository }), request: { host } }).pushes[0]?.repository;
    assert.equal(at('Team.AzureCR.io'), 'team.azurecr.io/app');
    assert.equal(at('team.azurecr.io:443'), 'team.azurecr.io:443/app');
    assert.equal(at('team.eastus.data.azurecr.cn', 'a/b/c'), 'team.eastus.data.azurecr.cn/a/b/c');
    for (const host of [
      undefined,
      null,
      '',
      ' ',
      7,
      'team',
      'evil.example/team',
      'a b.example',
      'x'.repeat(100_000),
      `${'/'.repeat(200_000)}x`,
    ]) {
      assert.throws(() => at(host), { name: 'Problem', status: 400 }, String(host).slice(0, 50));
    }
    for (const repository of [null, '', ' ', {}, '../app', 'app:1.0', 'é', `a${'/'.repeat(200_000)}b`]) {
      assert.throws(() => at('team.azurecr.io', repository), { name: 'Problem', status: 400 }, String(repository).slice(0, 50));
    }
  });

  it('keeps only a digest that is one', () => {
    for (const wrong of [undefined, null, 'sha256:abc', digest.toUpperCase(), 1]) {
      assert.equal(parse(pushed({ digest: wrong })).pushes[0]?.digest, undefined);
    }
  });

  it('refuses what is no event', () => {
    for (const body of [
      null,
      [],
      [pushed()],
      'push',
      1,
      {},
      { action: null },
      { action: 1 },
      { action: 'a\nb' },
      { action: 'push' },
    ]) {
      assert.throws(() => parse(body), { name: 'Problem', status: 400, message: /^Expected/ }, JSON.stringify(body));
    }
  });
});

function parse(body: unknown): ParsedPushes {
  return parseWith(receiver, body);
}

function pushed(target: object = {}): object {
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  return {
    action: 'push',
    target: { mediaType, repository: 'web/app', tag: '1.0', digest, ...target },
    request: { host: 'team.azurecr.io', method: 'PUT' },
  };
}
