import assert from 'node:assert/strict';
import { RateLimit, Refusal } from '../../../src/domain/failures.ts';
import { pullError } from '../../../src/platform/docker/errors.ts';

const now = new Date('2030-01-01T00:00:00Z');
const digest = `sha256:${'a'.repeat(64)}`;

/** What Docker 20.10 and Docker 29 (with containerd's image store) answer to the same registry. */
function meaningOf(name: string, said: string): string {
  const error = pullError(`${name}@${digest}`, 'linux/amd64', new Error(said), now);
  return error instanceof Refusal ? error.type : error instanceof RateLimit ? 'RateLimit' : 'again';
}

describe('what Docker says of a failed pull', () => {
  const host = '127.0.0.1:5000';
  const request = (name: string, status: string) =>
    `failed to resolve reference "${host}/${name}@${digest}": unexpected status from HEAD request to ` +
    `http://${host}/v2/${name}/manifests/${digest}: ${status}`;

  it('is not read from the name of the image, nor from its address', () => {
    for (const name of ['denied-500', 'team/unauthorized', 'toomanyrequests']) {
      assert.equal(meaningOf(`${host}/${name}`, request(name, '500 Internal Server Error')), 'again', name);
    }
    assert.equal(meaningOf(`${host}/denied`, `Get "http://${host}/v2/denied/manifests/${digest}": EOF`), 'again');
  });

  it('means the same whichever engine says it', () => {
    const name = `${host}/team/app`;
    assert.equal(meaningOf(name, request('team/app', '403 Forbidden')), 'CredentialsRefused');
    assert.equal(meaningOf(name, request('team/app', '401 Unauthorized')), 'CredentialsRefused');
    assert.equal(meaningOf(name, request('team/app', '429 Too Many Requests')), 'RateLimit');
    assert.equal(
      meaningOf(name, `Head "http://${host}/v2/team/app/manifests/x": no basic auth credentials`),
      'CredentialsRefused',
    );
    assert.equal(meaningOf(name, 'toomanyrequests: too many requests'), 'RateLimit');
    assert.equal(meaningOf(name, `failed to resolve reference "${name}@${digest}": ${name}@${digest}: not found`), 'again');
    assert.equal(meaningOf(name, 'manifest unknown: manifest unknown'), 'again');
  });
});
