import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { masked } from '../../src/domain/inert-text.ts';
import { longestShown, shownBody } from '../../src/telemetry/shown-body.ts';

const shown = (text: string) => shownBody(Buffer.from(text));

describe('a body in the log', () => {
  it('is shown as it is, but for members whose name says that they are secret', () => {
    assert.equal(shown('{"tag":"v1"}'), '{"tag":"v1"}');
    const [name, value] = ['"access_token"', JSON.stringify('a"b\\')];
    assert.equal(shown(`{"tag":"v1",${name} : ${value},"n":1}`), `{"tag":"v1",${name} : "${masked}","n":1}`);
    for (const key of ['callback_url', 'X-Signature', 'apiKey', 'PASSWORD', 'client_secret'])
      assert.equal(shown(`{"${key}":"canary"}`), `{"${key}":"${masked}"}`);
  });

  it('is shown as it is where it is a form, but for fields whose name says that they are secret', () => {
    assert.equal(shown('service=registry&scope=a:b:pull'), 'service=registry&scope=a:b:pull');
    for (const key of ['refresh_token', 'password', 'client_secret', 'client_assertion', 'code', 'code_verifier'])
      for (const [before, after] of [
        ['', ''],
        ['grant_type=x&', '&scope=y'],
      ])
        assert.equal(shown(`${before}${key}=can%2Fary+1${after}`), `${before}${key}=${masked}${after}`);
    assert.equal(
      shown('{"url":"https://a.example/?n=1&access_token=canary","n":1}'),
      `{"url":"https://a.example/?n=1&access_token=${masked}","n":1}`,
    );
  });

  it("is not shown where it is a Secret of Kubernetes', or no text", () => {
    assert.equal(shown('{"kind": "Secret","data":{"a":"Y2FuYXJ5"}}'), masked);
    assert.match(shownBody(gzipSync('canary')) ?? '', /^\[\d+ bytes\]$/);
    assert.equal(shown(''), undefined);
  });

  it('is cut where a word ends, so that no half of a secret is left, and in no time whatever it is', () => {
    const long = shown(`${'a '.repeat(longestShown / 2 - 4)}canary-of-many-letters`) ?? '';
    assert.ok(long.endsWith('a …') && long.length <= longestShown, long.slice(-20));
    assert.equal(shown('é'.repeat(longestShown)), '…');
    const begun = performance.now();
    for (const evil of ['"', '"token', '"token"', '"token":"', '\\', '&', '&token', 'token=', '&token='])
      shown(evil.repeat(longestShown));
    assert.ok(performance.now() - begun < 1_000);
  });
});
