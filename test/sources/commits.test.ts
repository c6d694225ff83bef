import assert from 'node:assert/strict';
import { isSameRepository } from '../../src/config/same-repository.ts';
import { genericSource } from '../../src/sources/generic/index.ts';
import { readPushEvent } from '../../src/sources/kit/commits.ts';
import { contextOf, only } from '../api/support/receivers.ts';

const [before, after] = ['a', 'b'].map((digit) => digit.repeat(40));
const none = '0'.repeat(40);
const pushed = (fields: object = {}) => ({
  ref: 'refs/heads/main',
  before,
  after,
  repository: {
    full_name: 'team/app',
    clone_url: 'https://git.example.org/team/app.git',
    ssh_url: 'git@git.example.org:team/app.git',
    html_url: 'https://git.example.org/team/app',
  },
  sender: { login: 'ann', id: 7 },
  ...fields,
});

describe('a push of commits', () => {
  it('says which branch of which repository, what it had before, and who pushed', () => {
    assert.deepEqual(readPushEvent(pushed()), {
      commits: {
        repositories: [
          'team/app',
          'https://git.example.org/team/app.git',
          'git@git.example.org:team/app.git',
          'https://git.example.org/team/app',
        ],
        branch: 'main',
        before,
        after,
        actor: 'ann',
      },
    });
    assert.equal(readPushEvent(pushed({ before: none })).commits?.before, undefined, 'a new branch');
  });

  it('is ignored where nothing can be built of it, with why', () => {
    for (const [fields, why] of [
      [{ ref: 'refs/tags/v1' }, 'expected the push of a branch'],
      [{ ref: 7 }, 'expected the push of a branch'],
      [{ ref: 'refs/heads/-x' }, 'expected the push of a branch'],
      [{ after: none }, 'the branch was deleted'],
      [{ deleted: true }, 'the branch was deleted'],
      [{ repository: null }, 'expected the repository that was pushed to'],
    ] as const)
      assert.deepEqual(readPushEvent(pushed(fields)), { ignored: why });
  });

  it('is found by pointers in any JSON, such as that of GitLab', () => {
    const settings = genericSource
      .settings(() => undefined)
      .parse({
        gitlab: {
          secrets: ['env:SECRET'],
          header: 'X-Gitlab-Token',
          when: { '/object_kind': 'push' },
          commits: {
            repository: '/project/git_http_url',
            ref: '/ref',
            before: '/before',
            after: '/after',
            actor: '/user_username',
          },
        },
      });
    const receiver = only(genericSource.open({ generic: settings }, contextOf({ SECRET: 'secret' })));
    const parse = (body: object) => receiver.parse({ headers: {}, query: new URLSearchParams(), body });
    const { project, ...event } = {
      ...{ object_kind: 'push', ref: 'refs/heads/main', before, after, user_username: 'ann' },
      project: { git_http_url: 'https://gitlab.example.org/team/app.git' },
    };
    assert.deepEqual(parse({ project, ...event }).commits, {
      repositories: [project.git_http_url],
      branch: 'main',
      before,
      after,
      actor: 'ann',
    });
    assert.match(parse({ ...event, object_kind: 'tag_push' }).ignored ?? '', /object_kind/);
    assert.equal(parse(event).ignored, 'expected the repository that was pushed to');
  });

  it('needs push or commits in the configuration, and not both', () => {
    const problems = (sender: object) =>
      genericSource.settings(() => undefined).safeParse({ acme: { secrets: ['env:SECRET'], ...sender } }).error?.issues[0]
        ?.message;
    assert.match(problems({}) ?? '', /either push, .* or commits/);
    assert.match(
      problems({ push: { repository: 'ghcr.io/a/b' }, commits: { repository: 'a/b', ref: '/ref' } }) ?? '',
      /either push, .* or commits/,
    );
  });
});

describe('the repository of a build', () => {
  it('is found in whichever way a sender and the configuration write it', () => {
    const named = readPushEvent(pushed()).commits?.repositories ?? [];
    for (const configured of [
      'https://git.example.org/team/app.git',
      'https://git.example.org/Team/App',
      'ssh://git@git.example.org:2222/team/app.git',
      'git@git.example.org:team/app',
      'team/app',
    ])
      assert.ok(isSameRepository(configured, named), configured);
    for (const configured of [
      'https://git.example.org/team/apple.git',
      'https://evil.example.org/team/app.git',
      'team/ap',
      'other/team/app',
      '/srv/git/team/app.git',
    ])
      assert.ok(!isSameRepository(configured, named), configured);
    assert.ok(isSameRepository('/srv/git/app.git', ['file:///srv/git/app.git']), 'a folder');
  });
});
