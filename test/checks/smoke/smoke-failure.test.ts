import assert from 'node:assert/strict';
import { capabilityHint } from '../../../src/checks/smoke/smoke-failure.ts';

describe('the hint at smoke.capabilities', () => {
  const ended = { Running: false };
  const table: readonly (readonly [log: string, capability: RegExp])[] = [
    ['chown: /var/lib/app: Operation not permitted', /perhaps CHOWN\)/],
    ['nginx: [emerg] chown("/var/cache/nginx", 101) failed (1: Operation not permitted)', /perhaps CHOWN\)/],
    ['su-exec: setgroups: Operation not permitted', /perhaps SETUID and SETGID\)/],
    ['error: failed switching to "postgres": operation not permitted', /perhaps SETUID and SETGID\)/],
    ['nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)', /perhaps NET_BIND_SERVICE\)/],
    ['Error: listen EACCES: permission denied 0.0.0.0:80', /perhaps NET_BIND_SERVICE\)/],
    ['chmod: /run/app: Operation not permitted', /perhaps FOWNER\)/],
    ['open /data/db: permission denied', /perhaps DAC_OVERRIDE\)/],
    ['something: Operation not permitted', /add it to smoke\.capabilities$/],
  ];
  for (const [log, expected] of table)
    it(`comes with: ${log}`, () => assert.match(capabilityHint({ capabilities: [] }, log, ended), expected));

  it('says which capabilities it has', () => {
    const hint = capabilityHint({ capabilities: ['CHOWN', 'SETUID'] }, 'setgroups: Operation not permitted', ended);
    assert.match(hint, /has only CHOWN, SETUID: if it needs one/);
  });

  it('does not come with other failures, or while the container runs', () => {
    assert.equal(capabilityHint({ capabilities: [] }, 'no such database', ended), '');
    assert.equal(capabilityHint({ capabilities: [] }, 'chown: Operation not permitted', { Running: true }), '');
  });
});
