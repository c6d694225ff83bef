import assert from 'node:assert/strict';
import { aliyunSource } from '../../src/sources/aliyun/index.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { contextOf, imagesOf, type ParsedPushes, parseWith, receivedAt } from '../api/support/receivers.ts';
import { vectorsOf } from '../api/support/vectors.ts';

const [receiver] = aliyunSource.open({ aliyun: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'x' })) as [Receiver];

describe('the Alibaba Cloud receiver', () => {
  for (const { name, raw, images, query = {} } of vectorsOf('aliyun')) {
    it(`takes exactly the listed images from ${name}`, () => {
      assert.deepEqual(imagesOf(parse(JSON.parse(raw), query)), images);
    });
  }

  it('takes the host of the URL of the webhook before that of the region', () => {
    const at = (registry_url: string) => parse(pushed(), { registry_url }).pushes[0]?.repository;
    assert.equal(at('Team-registry.cn-hangzhou.cr.aliyuncs.com'), 'team-registry.cn-hangzhou.cr.aliyuncs.com/ns/app');
    assert.equal(at('https://query.cr.com/'), 'query.cr.com/ns/app');
    assert.equal(at('query.cr.com:5000'), 'query.cr.com:5000/ns/app');
    assert.equal(at(''), 'registry.cn-hangzhou.aliyuncs.com/ns/app');
    for (const wrong of ['query', 'query.cr.com/x', 'a b.com', '..', '@evil.example', `${'/'.repeat(200_000)}x`]) {
      assert.throws(() => at(wrong), { name: 'Problem', status: 400, message: /registry_url/ }, wrong.slice(0, 50));
    }
  });

  it('makes a host only of a region', () => {
    const at = (region: unknown) => parse(pushed({}, { region })).pushes[0]?.repository;
    assert.equal(at('AP-Southeast-1'), 'registry.ap-southeast-1.aliyuncs.com/ns/app');
    assert.equal(at('cn-shenzhen-finance-1'), 'registry.cn-shenzhen-finance-1.aliyuncs.com/ns/app');
    for (const wrong of [
      undefined,
      null,
      '',
      1,
      'cn',
      'evil.example/x',
      'cn-hangzhou.evil',
      'cn-hangzhou@x',
      '-cn',
      'x'.repeat(100_000),
    ]) {
      assert.equal(at(wrong), undefined, String(wrong).slice(0, 50));
      assert.match(parse(pushed({}, { region: wrong })).ignored ?? '', /registry is unknown/);
    }
  });

  it('takes namespace and name where there is no full name', () => {
    const [push] = parse(pushed({}, { repo_full_name: null, namespace: 'Team', name: 'App' })).pushes;
    assert.ok(push);
    const { deliveryId, ...rest } = push;
    assert.match(deliveryId, /^[0-9a-f-]{36}$/);
    const repository = 'registry.cn-hangzhou.aliyuncs.com/team/app';
    assert.deepEqual(rest, { source: 'aliyun', repository, tag: 'v1', receivedAt });
  });

  it('starts nothing without a tag, and keeps only a digest that is one', () => {
    for (const tag of ['', 'a b', `sha256:${'0'.repeat(64)}`]) {
      assert.deepEqual([parse(pushed({ tag })).pushes.length, parse(pushed({ tag })).ignored], [0, 'no tag was pushed'], tag);
    }
    assert.equal(parse(pushed({ digest: 'sha256:abc' })).pushes[0]?.digest, undefined);
    assert.equal(parse(pushed({ digest: `sha256:${'0'.repeat(64)}` })).pushes[0]?.digest, `sha256:${'0'.repeat(64)}`);
  });

  it('refuses what is no push', () => {
    const without = [{ repository: { region: 'cn-hangzhou' } }, { ...pushed(), push_data: null }, pushed({ tag: 1 })];
    const wrongNames = ['../app', 'ns/app:1', 'ns//app', 'x'.repeat(100_000), `a${'/'.repeat(200_000)}b`];
    const named = wrongNames.map((repo_full_name) => pushed({}, { repo_full_name }));
    for (const body of [null, [], 'push', 1, {}, ...without, ...named]) {
      const shown = JSON.stringify(body).slice(0, 100);
      assert.throws(() => parse(body), { name: 'Problem', status: 400, message: /^Expected/ }, shown);
    }
  });
});

function parse(body: unknown, query: Record<string, string> = {}): ParsedPushes {
  return parseWith(receiver, body, { query });
}

function pushed(data: object = {}, repository: object = {}): object {
  return { push_data: { tag: 'v1', ...data }, repository: { repo_full_name: 'ns/app', region: 'cn-hangzhou', ...repository } };
}
