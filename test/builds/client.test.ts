import assert from 'node:assert/strict';
import { askBuilder, runBuild } from '../../src/builds/builders/run.ts';
import { Refusal } from '../../src/domain/failures.ts';

/** What is made of the end of a client of BuildKit; the client is a shell that says what one says. */
describe('a client of BuildKit', () => {
  const { signal } = new AbortController();
  const env = {};
  const said = (text: string) => ({ command: ['sh', '-c', 'echo "$0" >&2; exit 1', text], env, signal, timeoutMs: 10_000 });
  const baseImage = 'ERROR: failed to solve: node:24: failed to resolve source metadata for docker.io/library/node:24: ';

  for (const line of [
    `${baseImage}failed to do request: Head "https://registry-1.docker.io/v2/library/node/manifests/24": EOF`,
    `${baseImage}failed to do request: Head "https://registry-1.docker.io/v2/": read tcp 10.0.0.2:41000->10.0.0.3:443: read: connection reset by peer`,
    `${baseImage}failed to authorize: failed to fetch anonymous token: Get "https://auth.docker.io/token": dial tcp: lookup auth.docker.io on 127.0.0.11:53: server misbehaving`,
    `${baseImage}dial tcp [2600:1f18::1]:443: connect: network is unreachable`,
    `${baseImage}dial tcp 10.0.0.3:443: connect: no route to host`,
    `${baseImage}dial tcp 10.0.0.3:443: connect: connection timed out`,
    `${baseImage}unexpected status from HEAD request to https://registry-1.docker.io/v2/: 503 Service Unavailable`,
    'ERROR: failed to build: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF',
  ])
    it(`that says '${line.slice(-50)}' is run again`, async () => {
      await assert.rejects(runBuild(said(line)), (error: unknown) => {
        assert.ok(error instanceof Error && !(error instanceof Refusal), `${error}`);
        assert.match(error.message, /^the build broke off: failed to/);
        return true;
      });
    });

  for (const line of [
    `${baseImage}not found`,
    'ERROR: failed to solve: dockerfile parse error on line 3: unknown instruction: EOF',
    'ERROR: failed to solve: process "/bin/sh -c curl connection reset by peer" did not complete successfully: exit code: 56',
  ])
    it(`that says '${line.slice(-50)}' has answered`, async () => {
      await assert.rejects(runBuild(said(line)), { name: 'BuildFailed', message: /^expected the image to be built, but: / });
    });

  it('that does not answer in time is no build that takes too long', async () => {
    const asking = { command: ['sh', '-c', 'echo it is booting >&2; exec sleep 600'], env, signal, timeoutMs: 300 };
    await assert.rejects(askBuilder(asking), (error: unknown) => {
      assert.ok(error instanceof Error && !(error instanceof Refusal), `${error}`);
      assert.match(error.message, /^the builder did not answer sh within 0\.3 s; it is tried again: it is booting$/);
      return true;
    });
    await assert.rejects(runBuild(asking), { name: 'BuildFailed', message: /^expected the build to end within 0\.3 s/ });
  });
});
