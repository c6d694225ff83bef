import assert from 'node:assert/strict';
import { harborSource } from '../../src/sources/harbor/index.ts';
import { contextOf, imagesOf, only, parseWith } from '../api/support/receivers.ts';
import { itRotatesItsSecret, itSurvivesOddBodies, itTakesVectors } from '../api/support/source-claims.ts';

const receiver = only(harborSource.open({ harbor: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'secret' })));
const digest = `sha256:${'954b378c375d852eb3c63ab88978f640'.repeat(2)}`;

/** As the documentation of Harbor shows it. */
function cloudEvent(resources: readonly object[], type = 'harbor.artifact.pushed') {
  return {
    specversion: '1.0',
    id: '66e18103-09c1-41f6-982f-37df223f3eeb',
    requestid: '51c0b694-0168-4f3c-b0db-282565455d7b',
    source: '/projects/2/webhook/policies/15',
    type,
    datacontenttype: 'application/json',
    time: '2023-04-03T06:04:46Z',
    data: {
      resources,
      repository: {
        date_created: 1680501893,
        name: 'alpine',
        namespace: 'harbor',
        repo_full_name: 'harbor/alpine',
        repo_type: 'private',
      },
    },
    operator: 'robot$ci',
  };
}

const structured = { headers: { 'content-type': 'application/cloudevents+json' } };
const tagged = { digest, tag: '3.20', resource_url: 'harbor.example.org:8443/library/alpine:3.20' };
const image = { repository: 'harbor.example.org:8443/library/alpine', tag: '3.20', digest };

describe('the harbor receiver', () => {
  itTakesVectors('harbor', receiver);

  itRotatesItsSecret({
    open: (secrets, context) => harborSource.open({ harbor: { secrets } }, context),
    prove: (authorization) => ({ authorization }),
    worthless: [{ authorization: '' }, { authorization: 'Bearer secret-of-today' }, { 'x-webhook-secret': 'secret-of-today' }],
  });

  it('takes the CloudEvents format, with the id and the operator of the event', () => {
    const parsed = parseWith(receiver, cloudEvent([tagged, { ...tagged, tag: 'latest' }]), structured);
    assert.deepEqual(imagesOf(parsed), [image, { ...image, tag: 'latest' }]);
    assert.equal(parsed.deliveryId, '66e18103-09c1-41f6-982f-37df223f3eeb');
    assert.equal(parsed.event, 'harbor.artifact.pushed');
    assert.equal(parsed.pushes[0]?.actor, 'robot$ci');
  });

  it('takes a CloudEvent in binary mode', () => {
    const headers = {
      'content-type': 'application/json',
      'ce-specversion': '1.0',
      'ce-type': 'harbor.artifact.pushed',
      'ce-id': 'x',
    };
    assert.deepEqual(imagesOf(parseWith(receiver, cloudEvent([tagged]).data, { headers })), [image]);
  });

  it('starts nothing for a push by digest, whose tag is the digest', () => {
    const byDigest = { digest, tag: digest, resource_url: `harbor.example.org/library/alpine@${digest}` };
    for (const body of [cloudEvent([byDigest]), { type: 'PUSH_ARTIFACT', event_data: { resources: [byDigest] } }]) {
      const parsed = parseWith(receiver, body);
      assert.deepEqual(parsed.pushes, []);
      assert.equal(parsed.ignored, 'no tag was pushed');
    }
  });

  it('takes the format CDEvents, which names further resources in customData', () => {
    const subject = {
      id: `pkg:oci/alpine@${digest}?repository_url=harbor.example.org:8443%2Flibrary%2Falpine:3.20@${digest}&tag=3.20`,
      type: 'artifact',
      content: {},
    };
    const event = (customData: unknown) => ({
      ...cloudEvent([], 'dev.cdevents.artifact.published.0.1.1'),
      data: { context: { type: 'dev.cdevents.artifact.published.0.1.1' }, subject, customData },
    });
    assert.deepEqual(imagesOf(parseWith(receiver, event(undefined), structured)), [image]);
    const both = { resources: [tagged, { ...tagged, tag: 'latest' }] };
    assert.deepEqual(imagesOf(parseWith(receiver, event(both), structured)), [image, { ...image, tag: 'latest' }]);
  });

  it('ignores other events, and takes a type in any case', () => {
    for (const type of ['harbor.artifact.deleted', 'harbor.artifact.pulled', 'harbor.scan.completed', 'com.example.pushed']) {
      assert.match(parseWith(receiver, cloudEvent([tagged], type), structured).ignored ?? '', /PUSH_ARTIFACT/, type);
    }
    const body = { type: 'Push_Artifact', operator: 'ann', event_data: { resources: [tagged] } };
    assert.deepEqual(imagesOf(parseWith(receiver, body)), [image]);
    assert.equal(parseWith(receiver, body).pushes[0]?.actor, 'ann');
  });

  it('takes the good resources of an event and leaves the others', () => {
    const resources = [null, 1, { tag: 'latest' }, { ...tagged, resource_url: 7 }, { ...tagged, tag: 'not a tag' }, tagged];
    assert.deepEqual(imagesOf(parseWith(receiver, { type: 'PUSH_ARTIFACT', event_data: { resources } })), [image]);
  });

  it('refuses a tagged resource without a reference, and what is no event', () => {
    const resources = [{ tag: 'latest', digest, resource_url: 'library/alpine:latest' }];
    for (const body of [
      { type: 'PUSH_ARTIFACT', event_data: { resources } },
      {},
      { type: '' },
      { type: 5 },
      null,
      [],
      'text',
      1,
    ]) {
      assert.throws(() => parseWith(receiver, body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
  });

  it('refuses more resources than any push has, before it looks at them', () => {
    const event = (count: number) => ({ type: 'PUSH_ARTIFACT', event_data: { resources: Array(count).fill({}) } });
    assert.equal(parseWith(receiver, event(1000)).ignored, 'no tag was pushed');
    assert.throws(() => parseWith(receiver, event(1001)), { name: 'Problem', status: 400, message: /at most 1000/ });
  });

  itSurvivesOddBodies(receiver, [
    { whole: { type: 'PUSH_ARTIFACT', operator: 'ann', event_data: { resources: [tagged] } } },
    { whole: cloudEvent([tagged]), ...structured },
  ]);
});
