import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  callsPerson,
  levelColours,
  logIn,
  type Notice,
  noticeSentence,
  noticeText,
  webAddress,
} from '../../src/domain/notice.ts';
import { noticeEvents } from '../../src/domain/plan.ts';
import { hostile, noticeOf } from '../support/notices.ts';

describe('the text of a notice', () => {
  it('says what happened, to what and where, why, and what to do', () => {
    const notice = noticeOf({
      event: 'blocked',
      stage: 'production',
      reason: 'deploy: compose exited 1',
      advice: 'decide',
      proposal: 'https://github.com/team/deployment/pull/7',
      commit: 'c0ffee1',
      actor: 'ann',
    });
    const { title, level, subject, story, links } = noticeText(notice);
    assert.equal(title, 'web: the rollout is blocked in production');
    assert.equal(level, 'attention');
    assert.deepEqual(
      subject.map(({ name, value }) => `${name}: ${value}`),
      [
        'Service: web',
        'Stage: production',
        'Image: registry.example.test/team/web:latest',
        `Digest: ${notice.image.digest}`,
        'Rollout: web:latest:559aead08264',
        'Commit: c0ffee1',
        'Pushed by: ann (claimed)',
      ],
    );
    const proven = { by: 'forge', fields: ['actor'], actorOf: 'github' } as const;
    assert.equal(noticeText({ ...notice, proven }).subject.at(-1)?.value, 'ann');
    assert.deepEqual(
      story.map(({ name, value }) => `${name}: ${value}`),
      ['Why: deploy: compose exited 1', 'What to do: decide'],
    );
    assert.deepEqual(links, [{ name: 'Proposal', value: 'https://github.com/team/deployment/pull/7', kind: 'link' }]);
  });

  it('has the last lines that were logged, few, short and inert, whatever a failure has them in', () => {
    const log = `${'x'.repeat(5_000)}\n${Array.from({ length: 20 }, (_, line) => `line ${line} @here \u001b[2J`).join('\n')}\n\n`;
    for (const details of [{ log }, [{ title: 'Started', log }], { before: {}, now: { failures: [], log } }]) {
      const shown = noticeText(noticeOf({ log: logIn(details) ?? '' })).log;
      assert.equal(shown.length, 8);
      assert.match(shown.at(-1) ?? '', /^line 19 @\u200bhere \[2J$/);
    }
    assert.ok((logIn({ log })?.length ?? 0) <= 1_000);
    for (const details of [undefined, 'text', [], { log: '' }, { log: 3 }]) assert.equal(logIn(details), undefined);
    assert.deepEqual(noticeText(noticeOf()).log, []);
  });

  it('says what was skipped, by whom and why, and calls nothing healthy that nobody watched', () => {
    const at = '2026-01-01T00:00:00.000Z';
    const skipped = [
      { step: 'scan', by: 'ann', reason: 'not reachable', at },
      { step: 'watch', stage: 'production', by: 'bob', reason: 'it is slow to start', at },
    ] as const;
    const unwatched = noticeText(noticeOf({ event: 'healthy', stage: 'production', watched: false, skipped }));
    assert.equal(unwatched.title, 'web: the new image went out in production, and nobody watched its health');
    assert.equal(unwatched.level, 'neutral');
    assert.deepEqual(
      unwatched.story.map(({ name, value }) => `${name}: ${value}`),
      ['Skipped: scan skipped by ann: not reachable', 'Skipped: watch (production) skipped by bob: it is slow to start'],
    );
    assert.match(noticeText(noticeOf({ event: 'healthy', stage: 'production' })).title, /is healthy in production/);
  });

  it('has words and a colour for every event, and calls a person where one is needed', () => {
    for (const event of noticeEvents) {
      const { title, level } = noticeText(noticeOf({ event, stage: 'staging' }));
      assert.match(title, /^web: .+ in staging$/, event);
      assert.ok(levelColours[level] > 0);
    }
    assert.deepEqual(
      noticeEvents.filter((event) => callsPerson({ event })),
      ['approval', 'blocked', 'unhealthy', 'rolled-back', 'failed'],
    );
  });

  it('shows success and failure in the colours that are agreed upon', () => {
    assert.deepEqual([levelColours.success, levelColours.failure], [3066993, 15158332]);
  });

  it('is on one line, short and inert, whatever somebody typed', () => {
    const active = /@[\w-]|:\/\/|\p{Cc}|\p{Zl}|[\u202a-\u202e]|\p{Cs}/u;
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.constant(hostile)), (text) => {
        const notice: Notice = noticeOf({
          service: text,
          stage: text,
          reason: text,
          advice: text,
          actor: text,
          sourceRepository: text,
        });
        const { title, subject, story } = noticeText(notice);
        for (const shown of [title, ...[...subject, ...story].filter(({ kind }) => kind === 'text').map(({ value }) => value)]) {
          assert.doesNotMatch(shown, active);
          assert.ok(shown.length <= 3_100, String(shown.length));
        }
        assert.ok(noticeSentence(notice, 140).length <= 140);
      }),
      { numRuns: 50 },
    );
  });

  it('shows identifiers without anything that is markup somewhere', () => {
    const { subject } = noticeText(noticeOf({ commit: 'abc`<b>|*\n' }));
    assert.equal(subject.find(({ name }) => name === 'Commit')?.value, 'abc??b????');
  });

  it('makes a link only of an address of the web', () => {
    assert.equal(webAddress('https://github.com/a/b/pull/1?x=1#y'), 'https://github.com/a/b/pull/1?x=1#y');
    for (const wrong of [
      'javascript:alert(1)',
      'https://a.b/c|d',
      'https://a.b/c>',
      'https://a.b/ c',
      'https://u:p@a.b/',
      '/srv/git#main',
    ]) {
      assert.equal(webAddress(wrong), undefined, wrong);
    }
    const { links } = noticeText(noticeOf({ proposal: '/srv/deployment.git#landfall/web-production' }));
    assert.equal(links[0]?.kind, 'text');
  });
});
