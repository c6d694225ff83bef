import assert from 'node:assert/strict';
import { cloudeventsSource } from '../../src/sources/cloudevents/index.ts';
import { contextOf, imagesOf, only, parseWith } from '../api/support/receivers.ts';
import { itSurvivesOddBodies } from '../api/support/source-claims.ts';

const receiver = only(cloudeventsSource.open({ cloudevents: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'secret' })));
const hex = '244fd47e07d1004f0aed9c00112233445566778899aabbccddeeff0011223344';
const purl = `pkg:oci/app@sha256%3A${hex}?repository_url=ghcr.io/team/app&tag=1.0.0`;
const image = { repository: 'ghcr.io/team/app', tag: '1.0.0', digest: `sha256:${hex}` };

/** In the form of the specification's own example. */
function published(subject: object = {}, type = 'dev.cdevents.artifact.published.0.3.0') {
  return {
    context: {
      version: '0.5.0',
      id: '271069a8-fc18-44f1-b38f-9d70a1695819',
      source: '/event/source/123',
      type,
      timestamp: '2023-03-20T14:27:05.315384Z',
    },
    subject: { id: purl, source: '/event/source/123', type: 'artifact', content: {}, ...subject },
  };
}

function structured(data: unknown, type = 'dev.cdevents.artifact.published.0.3.0') {
  return {
    specversion: '1.0',
    id: '271069a8-fc18-44f1-b38f-9d70a1695819',
    source: '/event/source/123',
    type,
    subject: purl,
    datacontenttype: 'application/json',
    data,
  };
}

const asCloudEvent = { headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' } };

describe('a CDEvent', () => {
  it('is taken in structured mode, with the id of the event', () => {
    const parsed = parseWith(receiver, structured(published()), asCloudEvent);
    assert.deepEqual(imagesOf(parsed), [image]);
    assert.equal(parsed.deliveryId, '271069a8-fc18-44f1-b38f-9d70a1695819');
    assert.equal(parsed.pushes[0]?.deliveryId, '271069a8-fc18-44f1-b38f-9d70a1695819');
    assert.equal(parsed.event, 'dev.cdevents.artifact.published.0.3.0');
  });

  it('is taken in binary mode, with either media type', () => {
    for (const mediaType of ['application/json', 'application/cdevents+json; charset=utf-8']) {
      assert.ok(receiver.mediaTypes.includes(mediaType.split(';')[0] ?? ''));
      const headers = {
        'content-type': mediaType,
        'ce-specversion': '1.0',
        'ce-type': 'dev.cdevents.artifact.published.0.3.0',
        'ce-id': '271069a8-fc18-44f1-b38f-9d70a1695819',
        'ce-source': '/event/source/123',
        'ce-subject': purl,
      };
      assert.deepEqual(imagesOf(parseWith(receiver, published(), { headers })), [image]);
    }
  });

  it('is taken without the envelope of a CloudEvent', () => {
    assert.deepEqual(imagesOf(parseWith(receiver, published(), { headers: { 'content-type': 'application/json' } })), [image]);
  });

  it('is told by its context, and by the type of the envelope where it has none', () => {
    assert.deepEqual(imagesOf(parseWith(receiver, structured({ subject: { id: purl } }), asCloudEvent)), [image]);
    assert.deepEqual(imagesOf(parseWith(receiver, structured(published(), 'harbor.artifact.pushed'), asCloudEvent)), [image]);
    assert.deepEqual(imagesOf(parseWith(receiver, structured(undefined), asCloudEvent)), [image]);
  });

  it('is taken in every version of its schema', () => {
    for (const version of ['', '.0.1.0', '.0.1.1', '.0.2.0', '.0.3.0-draft', '.v1']) {
      const event = published({}, `dev.cdevents.artifact.published${version}`);
      assert.deepEqual(imagesOf(parseWith(receiver, structured(event), asCloudEvent)), [image], version);
    }
  });

  it('names commit and user where it does', () => {
    const content = { change: { id: 'DEADBEEF1234567', source: 'https://git.example.org/team/app' }, user: 'ann' };
    const [push] = parseWith(receiver, structured(published({ content })), asCloudEvent).pushes;
    assert.equal(push?.commit, 'deadbeef1234567');
    assert.equal(push?.actor, 'ann');
  });

  it('about anything but a published artifact starts nothing', () => {
    for (const type of [
      'dev.cdevents.artifact.packaged.0.2.0',
      'dev.cdevents.artifact.signed.0.2.0',
      'dev.cdevents.artifact.deleted.0.1.0',
      'dev.cdevents.artifact.publishedandmore.0.1.0',
      'dev.cdevents.service.published.0.2.0',
      'dev.cdevents.testoutput.published.0.2.0',
      'cd.change.merged.v1',
    ]) {
      const parsed = parseWith(receiver, structured(published({}, type), type), asCloudEvent);
      assert.deepEqual(parsed.pushes, []);
      assert.equal(parsed.ignored, 'expected the event artifact.published', type);
    }
    const other = published({ id: 'pkg:golang/mygit.com/myorg/myapp@234fd47e07d1004f0aed9c' });
    assert.equal(parseWith(receiver, structured(other), asCloudEvent).ignored, 'the package is not a container image');
  });

  it('is refused without a package URL', () => {
    for (const id of ['app:1.0.0', 'pkg:localhost', '']) {
      assert.throws(() => parseWith(receiver, structured(published({ id })), asCloudEvent), { name: 'Problem', status: 400 }, id);
    }
  });

  itSurvivesOddBodies(receiver, [
    { whole: structured(published({ content: { change: { id: 'deadbeef1234567' } } })), ...asCloudEvent },
    { whole: published() },
  ]);
});
