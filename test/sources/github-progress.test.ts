import assert from 'node:assert/strict';
import { githubSource } from '../../src/sources/github/index.ts';
import { progressEvents } from '../../src/sources/github/progress.ts';
import { type ForgeEvent, forgeEvents, withValue } from '../api/support/forge-events.ts';
import { contextOf, only, type ParsedPushes, parseWith } from '../api/support/receivers.ts';

const branch = 'landfall/app-production';
const repository = 'Codertocat/Hello-World';
const receiver = only(githubSource.open({ github: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'secret' })));

function parse(event: string, body: object): ParsedPushes {
  return parseWith(receiver, body, { headers: { 'x-github-event': event } });
}

/** What comes of all recorded events of one kind and action: how many say that something moved on our branch, and in which words. */
function summaryOf(events: readonly ForgeEvent[]): Record<string, string[]> {
  const words: Record<string, string[]> = {};
  for (const { event, action, body } of events) {
    const { progress, ignored, pushes } = parse(event, body);
    assert.deepEqual(pushes, []);
    assert.equal(progress === undefined, ignored !== undefined);
    if (progress !== undefined) assert.deepEqual([progress.repository, progress.branches], [repository, [branch]]);
    const key = `${event} ${action}`;
    words[key] = [...new Set([...(words[key] ?? []), progress?.what ?? ignored ?? ''])];
  }
  return words;
}

describe('the GitHub receiver and what moves in a deployment repository', () => {
  it('passes on completed check suites and check runs of our branches', () => {
    const summary = summaryOf(forgeEvents(['check_suite', 'check_run'], branch));
    const expected = ['expected the action completed'];
    assert.deepEqual(summary, {
      'check_suite completed': [`check_suite of ${repository} completed`, 'it is about no branch of Landfall’s'],
      'check_suite requested': expected,
      'check_suite rerequested': expected,
      'check_run created': expected,
      'check_run completed': [`check_run of ${repository} completed`],
      'check_run requested_action': expected,
      'check_run rerequested': expected,
    });
  });

  it('passes on final statuses of our branches, but not its own', () => {
    const events = forgeEvents(['status'], branch);
    assert.deepEqual(summaryOf(events), {
      'status success': [`status of ${repository} became success`, 'it is about no branch of Landfall’s'],
    });
    const [first] = events;
    assert.ok(first !== undefined);
    const states = ['success', 'failure', 'error', 'pending', 'invented', null].map(
      (state) => parse('status', { ...first.body, state }).progress?.what,
    );
    assert.deepEqual(states, [
      ...['success', 'failure', 'error'].map((state) => `status of ${repository} became ${state}`),
      ...[undefined, undefined, undefined],
    ]);
    const own = parse('status', { ...first.body, context: 'landfall/scan' });
    assert.equal(own.ignored, 'Landfall itself set this status');
  });

  it('passes on what can change whether a pull request is merged, and nothing else about it', () => {
    const summary = summaryOf(forgeEvents(['pull_request'], branch));
    const moved = Object.entries(summary).filter(([, words]) => words.some((word) => word.startsWith('pull_request of')));
    assert.deepEqual(moved, [
      ['pull_request closed', [`pull_request of ${repository} closed`]],
      ['pull_request ready_for_review', [`pull_request of ${repository} ready_for_review`]],
      ['pull_request reopened', [`pull_request of ${repository} reopened`]],
      ['pull_request synchronize', [`pull_request of ${repository} synchronize`]],
    ]);
    assert.ok(Object.keys(summary).length > 12, 'there are many more actions');
  });

  it('passes on reviews that approve, ask for changes or are dismissed, and no mere comments', () => {
    const events = forgeEvents(['pull_request_review'], branch);
    assert.deepEqual(summaryOf(events), {
      'pull_request_review submitted': ['expected the review approved or changes_requested or dismissed'],
      'pull_request_review dismissed': [`pull_request_review of ${repository} dismissed`],
    });
    const submitted = events.find(({ action }) => action === 'submitted')?.body ?? {};
    for (const state of ['approved', 'changes_requested', 'APPROVED']) {
      const { progress } = parse('pull_request_review', withValue(submitted, ['review', 'state'], state));
      assert.equal(progress?.what, `pull_request_review of ${repository} submitted`, state);
    }
  });

  it('passes on how a deployment of ours ended, by the rollout in its payload or by its branch', () => {
    const [first, ...others] = forgeEvents(['deployment_status'], branch);
    assert.ok(first !== undefined && others.length > 0);
    const rollout = 'rollout:app:latest:aaaaaaaaaaaa';
    const at = (payload: unknown, state = 'success', ref = 'main') =>
      parse(
        'deployment_status',
        withValue(
          withValue(withValue(first.body, ['deployment', 'payload'], payload), ['deployment_status', 'state'], state),
          ['deployment', 'ref'],
          ref,
        ),
      );
    const what = `deployment_status of ${repository} became success`;
    assert.deepEqual(at({ rollout }).progress, { what, repository, branches: [], rollout });
    assert.deepEqual(at(JSON.stringify({ rollout })).progress, { what, repository, branches: [], rollout });
    assert.deepEqual(at({}, 'success', branch).progress, { what, repository, branches: [branch] });
    for (const state of ['in_progress', 'queued', 'pending', 'inactive']) {
      assert.equal(at({ rollout }, state).ignored, 'expected the state success or failure or error');
    }
    for (const payload of [null, '{', '"{}"', [], { rollout: 7 }, { rollout: 'lane:app' }, { rollout: "rollout:' OR ''='" }]) {
      assert.equal(at(payload).ignored, 'it is about no branch of Landfall’s', JSON.stringify(payload));
    }
  });

  it('leaves alone pull requests of forks, whose branches may be called like ours', () => {
    const closed = forgeEvents(['pull_request'], branch).find(({ action }) => action === 'closed')?.body ?? {};
    for (const fork of ['stranger/Hello-World', undefined]) {
      const { ignored } = parse('pull_request', withValue(closed, ['pull_request', 'head', 'repo'], { full_name: fork }));
      assert.equal(ignored, 'the pull request comes from a fork');
    }
  });

  it('takes nothing for a branch of ours that could not be one', () => {
    const closed = forgeEvents(['pull_request'], branch).find(({ action }) => action === 'closed')?.body ?? {};
    for (const ref of [
      'main',
      'landfall/',
      'landfall',
      "landfall/a-b'",
      'landfall/a/b-c',
      `landfall/${'x'.repeat(201)}`,
      7,
      null,
    ]) {
      const { ignored } = parse('pull_request', withValue(closed, ['pull_request', 'head', 'ref'], ref));
      assert.equal(ignored, 'it is about no branch of Landfall’s', String(ref));
    }
  });

  it('is an error for none of these events, however little they say', () => {
    for (const event of progressEvents) {
      for (const body of [{}, { action: 'completed' }, { action: 'closed', state: 'success', repository: 7, pull_request: [] }]) {
        assert.notEqual(parse(event, body).ignored, undefined, event);
      }
    }
  });
});
