import assert from 'node:assert/strict';
import type { RequestHead } from '../../src/http/authentication.ts';
import { type EventSettings, eventSource } from '../../src/sources/event/index.ts';
import { authenticityOf, contextOf, isAuthentic, only } from '../api/support/receivers.ts';
import { githubJobClaims, type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';

const audience = 'https://landfall.example.org';
const gitlabClaims = {
  namespace_path: 'Group/sub',
  project_path: 'group/sub/app',
  ref: 'main',
  ref_type: 'branch',
  ref_path: 'refs/heads/main',
  sha: githubJobClaims.sha,
  user_login: 'ann',
  pipeline_id: '77',
  job_id: '78',
  ci_config_ref_uri: 'gitlab.example.com/group/sub/app//.gitlab-ci.yml@refs/heads/main',
};

describe('the jobs whose events are taken', () => {
  let issuer: OidcIssuer;

  before(async () => {
    issuer = await startOidcIssuer();
  });
  after(() => issuer.stop());

  const settings = (more: Partial<EventSettings> = {}): EventSettings => ({
    audience: [audience],
    issuers: [{ github: issuer.url }],
    owners: ['Test-Org'],
    imagePrefix: ['ghcr.io/test-org/'],
    ...more,
  });
  const tokenOf = (claims: object = {}) => issuer.sign({ ...githubJobClaims, aud: audience, ...claims });

  it('knows by their ids only those of this owner and this repository, whatever they are called after a rename', async () => {
    const isTaken = async (allowed: Partial<EventSettings>, claims: object) => {
      const { owners: _, ...rest } = settings({ issuers: [{ github: issuer.url }], ...allowed });
      const receiver = only(eventSource.open({ event: { ...rest, ...allowed } }, contextOf({})));
      return await isAuthentic(
        receiver,
        bearing(await issuer.sign({ ...githubJobClaims, aud: audience, repository_id: '77', ...claims })),
      );
    };
    const taken = { repository_owner_id: '666' };
    assert.equal(await isTaken({ owners: ['test-org'], ownerIds: ['1234'] }, {}), true);
    assert.equal(await isTaken({ owners: ['test-org'], ownerIds: ['1234'] }, taken), false);
    assert.equal(await isTaken({ owners: ['other'], ownerIds: ['1234'] }, {}), false);
    assert.equal(await isTaken({ ownerIds: ['1234', '5'] }, { repository_owner: 'renamed' }), true);
    assert.equal(await isTaken({ ownerIds: ['1234'] }, taken), false);
    assert.equal(await isTaken({ ownerIds: ['1234'] }, { repository_owner_id: 1234 }), false);
    assert.equal(await isTaken({ ownerIds: ['1234'], repositoryIds: ['77'] }, {}), true);
    assert.equal(await isTaken({ ownerIds: ['1234'], repositoryIds: ['78'] }, {}), false);
    assert.equal(await isTaken({ ownerIds: ['1234'], repositoryIds: ['77'] }, { repository_id: undefined }), false);
    const ofIssuer = { issuers: [{ github: issuer.url, ownerIds: ['1234'], repositoryIds: ['77'] }] };
    assert.equal(await isTaken(ofIssuer, {}), true);
    assert.equal(await isTaken(ofIssuer, taken), false);
  });

  it('has the id of who started it', async () => {
    const receiver = only(
      eventSource.open({ event: settings({ issuers: [{ github: issuer.url }], owners: ['test-org'] }) }, contextOf({})),
    );
    const proven = async (claims: object) => {
      const found = await authenticityOf(receiver, bearing(await issuer.sign({ ...githubJobClaims, aud: audience, ...claims })));
      return found.authentic ? found.identity?.proven?.actorId : assert.fail();
    };
    assert.equal(await proven({ actor_id: '583231' }), 583_231);
    assert.equal(await proven({ actor_id: 'x' }), undefined);
  });

  it('knows the job of GitLab by its token, and takes a group for its subgroups', async () => {
    const receiver = only(
      eventSource.open({ event: settings({ issuers: [{ gitlab: issuer.url }], owners: ['group'] }) }, contextOf({})),
    );
    const gitlab = async (claims: object) =>
      authenticityOf(receiver, bearing(await issuer.sign({ aud: audience, ...gitlabClaims, ...claims })));
    assert.deepEqual(await gitlab({}), {
      authentic: true,
      identity: {
        ...{ commit: githubJobClaims.sha, sourceRepository: `${issuer.url}/group/sub/app`, actor: 'ann', buildId: '78' },
        // Nobody here is known by an account at GitLab.
        proven: { by: 'token', fields: ['commit', 'sourceRepository', 'actor'] },
      },
      byHand: false,
    });
    const byHand = await gitlab({ pipeline_source: 'web' });
    assert.ok(byHand.authentic && byHand.byHand);
    for (const namespace_path of [
      'group-evil',
      'groupsub',
      'other/group',
      'other/group/sub',
      undefined,
      '',
      7,
      null,
      ['group'],
    ]) {
      assert.equal((await gitlab({ namespace_path })).authentic, false, String(namespace_path));
    }
    // A GitLab can say whatever it likes in the claims of GitHub.
    assert.equal((await gitlab({ namespace_path: 'evil', repository_owner: 'group' })).authentic, false);
  });

  it('compares owners whole, without regard to case', async () => {
    let receiver = only(eventSource.open({ event: settings() }, contextOf({})));
    const isTaken = async (repository_owner: unknown) => isAuthentic(receiver, bearing(await tokenOf({ repository_owner })));
    for (const owner of ['test-org', 'TEST-ORG', 'Test-Org']) assert.ok(await isTaken(owner), owner);
    const others = [
      'test-org-evil',
      'evil-test-org',
      'test-or',
      'test_org',
      'test-org ',
      ' test-org',
      'test-org/',
      'test-org/sub',
    ];
    const folded = ['te\u017ft-org', 'test-org\u0000', 'tést-org', 'test-org\n'];
    for (const owner of [...others, ...folded, '', '*', undefined, null, 7, true, ['test-org'], { 0: 'test-org' }]) {
      assert.equal(await isTaken(owner), false, JSON.stringify(owner));
    }
    receiver = only(eventSource.open({ event: settings({ owners: ['kilo'] }) }, contextOf({})));
    assert.equal(await isTaken('KILO'), true);
    // The sign of Kelvin is a k in lower case.
    assert.equal(await isTaken('\u212Ailo'), false);
  });

  it('takes only the repositories, refs and workflows that are allowed', async () => {
    const cases: [Partial<EventSettings>, object, boolean][] = [
      [{ repositories: ['test-org/app'] }, {}, true],
      [{ repositories: ['Test-Org/*'] }, {}, true],
      [{ repositories: ['test-org/a'] }, {}, false],
      [{ repositories: ['other/*', 'test-org/app'] }, {}, true],
      [{ repositories: ['test-org/app'] }, { repository: 'test-org/app-evil' }, false],
      [{ repositories: ['*'] }, { repository: undefined }, false],
      [{ repositories: ['*'] }, { repository: ['test-org/app'] }, false],
      [{ refs: ['refs/heads/main'] }, {}, true],
      [{ refs: ['refs/heads/main'] }, { ref: 'refs/heads/main2' }, false],
      [{ refs: ['refs/heads/main'] }, { ref: 'refs/heads/MAIN' }, false],
      [{ refs: ['refs/tags/v*'] }, { ref: 'refs/tags/v1.0' }, true],
      [{ refs: ['refs/tags/v*.*'] }, { ref: 'refs/tags/v1' }, false],
      [{ refs: ['*a*a*'] }, { ref: 'a' }, false],
      [{ refs: ['*a*a*'] }, { ref: 'xaxax' }, true],
      [{ refs: ['aba*ba'] }, { ref: 'aba' }, false],
      [{ refs: ['a*b*b'] }, { ref: 'ab' }, false],
      [{ workflows: ['release.yml'] }, {}, true],
      [{ workflows: ['.github/workflows/release.yml'] }, {}, true],
      [{ workflows: ['test-org/app/.github/workflows/release.yml@refs/heads/main'] }, {}, true],
      [{ workflows: ['*/release.yml@refs/heads/main'] }, {}, true],
      [{ workflows: ['Release'] }, {}, false],
      [
        { workflows: ['release.yml'] },
        { workflow: 'release.yml', workflow_ref: 'o/n/.github/workflows/x.yml@refs/heads/main' },
        false,
      ],
      [{ workflows: ['release.yml'] }, { workflow_ref: 'o/n/.github/workflows/x.yml@refs/heads/release.yml' }, false],
      [{ workflows: ['release.yml'] }, { workflow_ref: undefined }, false],
      // Any name of a file will do that ends in .yml.
      [
        { workflows: ['release.yml'] },
        { workflow_ref: 'test-org/app/.github/workflows/release.yml@x.yml@refs/heads/main' },
        false,
      ],
      [{ workflows: ['release.yml'] }, { workflow_ref: 'test-org/app/.github/workflows/release.yml@refs/heads/a@refs/b' }, true],
    ];
    for (const [allowed, claims, isTaken] of cases) {
      const receiver = only(eventSource.open({ event: settings(allowed) }, contextOf({})));
      assert.equal(await isAuthentic(receiver, bearing(await tokenOf(claims))), isTaken, JSON.stringify([allowed, claims]));
    }
  });

  it('does not take the pipeline of a merge request for one of the branch that it comes from, which may be a fork’s', async () => {
    const isTaken = async (allowed: Partial<EventSettings>, claims: object) => {
      const event = settings({ issuers: [{ gitlab: issuer.url }], owners: ['group'], ...allowed });
      const receiver = only(eventSource.open({ event }, contextOf({})));
      return await isAuthentic(receiver, bearing(await issuer.sign({ aud: audience, ...gitlabClaims, ...claims })));
    };
    const onlyMain = { refs: ['refs/heads/main'] };
    for (const pipeline_source of ['push', 'web', 'schedule', undefined]) {
      assert.ok(await isTaken(onlyMain, { pipeline_source }), pipeline_source);
    }
    const ofMergeRequest = { pipeline_source: 'merge_request_event' };
    assert.equal(await isTaken(onlyMain, ofMergeRequest), false);
    assert.equal(await isTaken(onlyMain, { ...ofMergeRequest, ref_path: undefined }), false);
    assert.equal(await isTaken({ workflows: ['*//.gitlab-ci.yml@refs/heads/main'] }, ofMergeRequest), false);
    // What it starts says nothing of it any more; no merge request of a fork is protected.
    const child = { pipeline_source: 'parent_pipeline', ref_protected: 'false' };
    assert.equal(await isTaken(onlyMain, child), false);
    assert.ok(await isTaken(onlyMain, { ...child, ref_protected: 'true' }));
    assert.ok(await isTaken({ refs: ['refs/tags/v*'] }, { ...child, ref_type: 'tag', ref_path: 'refs/tags/v1' }));
    assert.ok(await isTaken({ workflows: ['.gitlab-ci.yml'] }, ofMergeRequest));
    assert.ok(await isTaken({}, ofMergeRequest), 'without refs, any will do');
  });

  it('keeps the owners of its issuers apart', async () => {
    const other = await startOidcIssuer();
    try {
      const issuers: EventSettings['issuers'] = [
        { github: issuer.url, owners: ['test-org'] },
        { gitlab: other.url, owners: ['group'] },
      ];
      const receiver = only(eventSource.open({ event: settings({ issuers }) }, contextOf({})));
      const isTaken = (token: string) => isAuthentic(receiver, bearing(token));
      assert.ok(await isTaken(await tokenOf()));
      assert.ok(await isTaken(await other.sign({ aud: audience, ...gitlabClaims })));
      assert.ok(!(await isTaken(await other.sign({ aud: audience, ...gitlabClaims, namespace_path: 'test-org' }))));
      assert.ok(!(await isTaken(await other.sign({ aud: audience, ...githubJobClaims }))));
      assert.ok(!(await isTaken(await tokenOf({ ...gitlabClaims, repository_owner: 'group' }))));
    } finally {
      await other.stop();
    }
  });
});

function bearing(token: string): Pick<RequestHead, 'headers'> {
  return { headers: { authorization: `Bearer ${token}` } };
}
