import assert from 'node:assert/strict';
import { load, problemsIn } from './support.ts';

const env = { SECRET: 'hunter2' };
/** Where secrets go; `url` and more settings beside it are filled in. */
const places = {
  'forge.github.url': (url: string, more: string) => `forge: { github: { token: env:SECRET, url: "${url}"${more} } }`,
  'audit.endpoint': (url: string, more: string) => `audit: { endpoint: "${url}"${more} }`,
  'notify[0].webhook.url': (url: string, more: string) => `notify: [{ webhook: { url: "${url}", secret: env:SECRET${more} } }]`,
  'notify[0].slack.api': (url: string, more: string) =>
    `notify: [{ slack: { token: env:SECRET, channel: C1, api: "${url}"${more} } }]`,
};

describe('an address without TLS where secrets go', () => {
  for (const [path, text] of Object.entries(places)) {
    it(`is refused at ${path}, with what to do`, () => {
      for (const url of [
        'http://hooks.example.org',
        'http://10.0.0.7:3000/in',
        'http://127.0.0.1.example.org',
        'http://localhost.example.org',
      ]) {
        const [problem = 'none', ...others] = problemsIn(text(url, ''), env);
        assert.deepEqual(others, []);
        if (url.startsWith('http:'))
          assert.match(problem, / expected .*https:\/\/.*found one with http:\/\/: .*plainHttp: true/, url);
        assert.ok(problem.includes(` ${path}: `), problem);
      }
    });

    it(`is taken at ${path} on this machine, or where somebody answers for it`, () => {
      for (const url of [
        'https://hooks.example.org',
        'http://127.0.0.1:1',
        'http://127.8.9.1',
        'http://localhost:9',
        'http://[::1]:9',
      ])
        load(text(url, ''), env);
      load(text('http://hooks.example.org', ', plainHttp: true'), env);
    });
  }

  it('is refused in LOGGING_ENDPOINT as well', () => {
    const plain = { LOGGING_ENDPOINT: 'http://logs.example.org/in' };
    assert.match(problemsIn('', plain).join(), /^1:1 audit: expected LOGGING_ENDPOINT to begin with https:\/\/, found http:\/\//);
    assert.equal(load('audit: { plainHttp: true }', plain).audit.endpoint, plain.LOGGING_ENDPOINT);
    assert.ok(load('audit: { endpoint: "https://logs.example.org" }', plain));
  });
});
