import assert from 'node:assert/strict';
import { eventFromEnvironment, eventSource } from '../../src/sources/event/index.ts';
import { contextOf } from '../api/support/receivers.ts';

const audience = 'https://landfall.example.org';

describe('the settings of events', () => {
  const check = () => undefined;
  const read = (value: unknown) => eventSource.settings(check).safeParse(value);
  const whole = { audience, owners: 'team', imagePrefix: 'ghcr.io/team/' };

  it('take one or a list, and leave out slashes at the end of issuers', () => {
    assert.deepEqual(read({ ...whole, issuers: [{ github: true }, { gitlab: 'https://gitlab.com/' }] }).data, {
      audience: [audience],
      owners: ['team'],
      imagePrefix: ['ghcr.io/team/'],
      issuers: [{ github: true }, { gitlab: 'https://gitlab.com' }],
    });
  });

  it('refuse what would let strangers in, or in the clear', () => {
    const { owners: _, ...withoutOwners } = whole;
    assert.match(read(withoutOwners).error?.message ?? '', /expected owners/);
    assert.ok(read({ ...withoutOwners, issuers: [{ github: true, owners: ['team'] }] }).success);
    assert.deepEqual(read({ ...withoutOwners, ownerIds: [1234, '5'], repositoryIds: 77 }).data?.ownerIds, ['1234', '5']);
    for (const ownerIds of [[], 'x', -1, 1.5, ['1', 'x']])
      assert.ok(!read({ ...withoutOwners, ownerIds }).success, String(ownerIds));
    assert.ok(
      !read({ ...withoutOwners, issuers: [{ github: true, owners: ['team'] }, { gitlab: 'https://gitlab.com' }] }).success,
    );
    for (const gitlab of [
      'http://gitlab.example',
      'https://user:pass@gitlab.example',
      'https://x.example?a=b',
      'gitlab.com',
      true,
      7,
    ]) {
      assert.ok(!read({ ...whole, issuers: [{ gitlab }] }).success, String(gitlab));
    }
    assert.ok(read({ ...whole, issuers: [{ gitlab: 'http://127.0.0.1:8080' }] }).success);
    for (const missing of ['audience', 'imagePrefix']) assert.ok(!read({ ...whole, [missing]: undefined }).success, missing);
    for (const owners of ['', [], [''], 7, null]) assert.ok(!read({ ...whole, owners }).success, JSON.stringify(owners));
    assert.ok(!read({ ...whole, issuers: [{ github: true, gitlab: 'https://gitlab.com' }] }).success);
    assert.ok(!read({ ...whole, issuers: [{ github: false }] }).success);
    assert.ok(!read({ ...whole, surprise: 1 }).success);
  });

  it('open the receiver only where they are there', () => {
    assert.deepEqual(eventSource.open({}, contextOf({})), []);
    assert.deepEqual(
      eventSource.open({ event: read(whole).data }, contextOf({})).map(({ path }) => path),
      ['/event'],
    );
  });

  const three = { GITHUB_OIDC_AUDIENCE: audience, GITHUB_ALLOWED_ORG: 'team', ALLOWED_IMAGE_PREFIX: 'ghcr.io/team/' };

  it('come from three variables alone', () => {
    const found = eventFromEnvironment(three);
    assert.deepEqual(found, {
      settings: {
        audience: [audience],
        owners: ['team'],
        imagePrefix: ['ghcr.io/team/'],
        issuers: [{ github: 'https://token.actions.githubusercontent.com' }],
      },
    });
    const elsewhere = eventFromEnvironment({ ...three, GITHUB_OIDC_ISSUER: 'https://ghes.example/_services/token/' });
    assert.match(JSON.stringify(elsewhere), /"github":"https:\/\/ghes.example\/_services\/token"/);
    assert.equal(eventFromEnvironment({ PATH: '/bin', GITHUB_OIDC_AUDIENCE: '' }), undefined);
  });

  it('name the variables that are missing', () => {
    const { GITHUB_ALLOWED_ORG: _, ...two } = three;
    assert.match(JSON.stringify(eventFromEnvironment(two)), /problem.*but GITHUB_ALLOWED_ORG is not set/);
    const one = eventFromEnvironment({ ALLOWED_IMAGE_PREFIX: 'x', GITHUB_ALLOWED_ORG: ' ' });
    assert.match(JSON.stringify(one), /but GITHUB_OIDC_AUDIENCE and GITHUB_ALLOWED_ORG are not set/);
    assert.match(
      JSON.stringify(eventFromEnvironment({ ...three, GITHUB_OIDC_ISSUER: 'http://evil.example' })),
      /problem.*https:/,
    );
  });
});
