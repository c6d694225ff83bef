import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { ScanSummary } from '../../src/checks/scan/policy.ts';
import { scanned } from '../../src/checks/scan/scan.ts';
import { bounded, type Evidence, quoted } from '../../src/domain/evidence.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import { code, inert, prose } from '../../src/domain/inert-text.ts';
import type { Checked, CheckResult, Skipped, VerifiedImage } from '../../src/domain/outcomes.ts';
import {
  checkTexts,
  commitMessage,
  isAboutTag,
  type ProposalSubject,
  proposalBody,
  proposalTitle,
  rolloutOfCommit,
} from '../../src/domain/proposal.ts';

const image: VerifiedImage = {
  repository: 'ghcr.io/pitchconnect/match-list-processor' as Repository,
  tag: 'latest' as Tag,
  digest: `sha256:${'ab'.repeat(32)}` as Digest,
  mediaType: 'application/vnd.oci.image.index.v1+json',
  platforms: [
    { platform: 'linux/amd64', digest: `sha256:${'01'.repeat(32)}` as Digest },
    { platform: 'linux/arm64', digest: `sha256:${'02'.repeat(32)}` as Digest },
  ],
  size: 1_000_000,
};

const scan: ScanSummary = {
  counts: { unknown: 0, low: 0, medium: 2, high: 1, critical: 0 },
  worst: [
    {
      kind: 'vulnerability',
      id: 'CVE-2021-23337',
      severity: 'high',
      where: 'lodash',
      installed: '4.17.20',
      fixed: '4.17.21',
      title: 'lodash: command injection',
      platform: 'linux/amd64',
    },
  ],
  failing: 0,
  ignored: 1,
  platforms: ['linux/amd64', 'linux/arm64'],
  reused: false,
  artifacts: [],
};

const smoke: Checked = {
  kind: 'checked',
  text: 'ready by http after 1.2 s on linux/amd64',
  evidence: [
    {
      title: 'Smoke-tested',
      passed: true,
      text: 'ready after 1.2 s (`http`) on `linux/amd64`',
      short: 'ready after 1.2 s (http) on linux/amd64',
    },
  ],
};

const titles = { scan: 'Scanned', smoke: 'Smoke-tested', integration: 'Integration check' };

function checksOf(outcomes: { readonly [Kind in keyof typeof titles]?: Checked | Skipped }): CheckResult[] {
  return Object.entries(titles).flatMap(([kind, title]) => {
    const outcome = Object.entries(outcomes).find(([key]) => key === kind)?.[1];
    return outcome === undefined ? [] : [{ kind, title, outcome }];
  });
}

function subject(changes: Partial<ProposalSubject> = {}): ProposalSubject {
  return {
    service: 'match-list-processor',
    stage: 'production',
    image,
    push: {
      source: 'github',
      deliveryId: '1',
      repository: image.repository,
      tag: image.tag,
      commit: '0123456789abcdef0123456789abcdef01234567',
      sourceRepository: 'PitchConnect/match-list-processor',
      proven: { by: 'forge', fields: ['commit', 'sourceRepository', 'actor'], actorOf: 'github' },
      receivedAt: '2026-01-01T00:00:00Z',
    },
    checks: checksOf({ scan: scanned(scan), smoke }),
    ...changes,
  };
}

/** What GitHub would act upon, wherever it stands in raw text. */
const active = /@[\w-]|#\d|\bGH-\d|:\/\/|\bwww\.\w/i;
/** Half of a character. */
const half = /\p{Cs}/u;

const weapons = ['@team', '#12', 'GH-7', 'fixes ', 'Closes: ', 'https://x.y/issues/1', 'www.x', '<img>', '`', '```', '](', '**'];
const escapes = ['\n', '\r\n', '\u2028', '\u202e', '\0', '|', '\\', '  ', 'Landfall-Rollout: x', '{tag}', '\ud800'];
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...weapons, ...escapes), fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 12 })
  .map((parts) => parts.join(''));

describe('the title of a proposal', () => {
  it('names the service', () => {
    assert.equal(proposalTitle(subject()), '🚀 Auto-update: match-list-processor image');
  });

  it('takes a template, and leaves what it does not know', () => {
    const template = '{service} {stage} {image} {tag} {digest} {commit} {sourceRepository} {other} {}';
    assert.equal(
      proposalTitle({ ...subject(), service: 'web' }, template),
      `web production ${image.repository} latest ${image.digest} 0123456789abcdef0123456789abcdef01234567 PitchConnect/match-list-processor {other} {}`,
    );
  });

  it('never fills in a value twice', () => {
    assert.equal(proposalTitle({ ...subject(), service: '{tag}' }, '{service}'), '{tag}');
  });

  it('is one line of at most 256 characters', () => {
    const title = proposalTitle(subject(), `{service}\n${'x🚀'.repeat(300)}`);
    assert.doesNotMatch(title, /\n/);
    assert.ok(title.length <= 256 && !half.test(title));
  });
});

describe('the README', () => {
  it('shows title and lines of a proposal as they are', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const quote = [...readme.matchAll(/^> ?(.*)$/gm)].map(([, line = '']) => line);
    const shown = subject({
      service: 'web',
      image: {
        ...image,
        repository: 'ghcr.io/your-team/web' as Repository,
        digest: 'sha256:a198d718d17fab683e2e3224603e177e4aa56c74d5d17372837dfd99d5fb445f' as Digest,
        platforms: image.platforms.slice(0, 1),
      },
      push: { ...subject().push, sourceRepository: 'your-team/web', actor: 'ann' },
      checks: checksOf({ scan: scanned({ ...scan, ignored: 0 }), smoke }),
    });
    assert.equal(quote[0], `### ${proposalTitle(shown)}`);
    const lines = quote.filter((line) => /^ *- /.test(line));
    assert.equal(lines.length, 10);
    const body = proposalBody(shown).split('\n');
    assert.deepEqual(
      lines.filter((line) => !body.includes(line)),
      [],
    );
  });
});

describe('the commit message', () => {
  it('has subject, service, image, digest and the rollout as trailer', () => {
    assert.equal(
      commitMessage('update', 'match-list-processor', image, 'rollout:match-list-processor:latest:abababababab'),
      `chore: update match-list-processor image

Service: match-list-processor
Image: ghcr.io/pitchconnect/match-list-processor:latest
Digest: ${image.digest}

Landfall-Rollout: rollout:match-list-processor:latest:abababababab
`,
    );
  });

  it('is told from a person’s by its trailer, however the forge stores its line ends', () => {
    const message = commitMessage('update', 'web', image, 'rollout:web:1:ab');
    for (const stored of [
      message,
      message.trimEnd(),
      message.replaceAll('\n', '\r\n'),
      commitMessage('keep', 'web', image, 'rollout:web:1:ab'),
    ]) {
      assert.equal(rolloutOfCommit(stored), 'rollout:web:1:ab');
      assert.equal(isAboutTag(stored, image), true);
      assert.equal(isAboutTag(stored, { ...image, tag: 'lat' as Tag }), false);
    }
  });

  it('is a person’s where the trailer is only quoted, or is the whole message', () => {
    assert.equal(rolloutOfCommit('Landfall-Rollout: rollout:web:1:ab'), undefined);
    assert.equal(rolloutOfCommit('fix\n\nLandfall-Rollout: rollout:web:1:ab\n\nthat one was wrong'), undefined);
    assert.equal(rolloutOfCommit('fix\n\n> Landfall-Rollout: rollout:web:1:ab'), undefined);
    assert.equal(rolloutOfCommit(''), undefined);
  });

  it('cannot be given lines, trailers, mentions or references by a name', () => {
    fc.assert(
      fc.property(hostile, hostile, (service, rollout) => {
        const message = commitMessage('update', service, image, rollout);
        assert.equal(message.split('\n').length, 8);
        assert.equal(message.match(/^Landfall-Rollout:/gm)?.length, 1);
        assert.doesNotMatch(message.replace(`Image: ${image.repository}:${image.tag}`, ''), active);
      }),
    );
  });
});

describe('the body of a proposal', () => {
  it('marks as claimed what the source has not proven, and what only a label of the image says', () => {
    const { proven, ...push } = { ...subject().push, actor: 'mallory' };
    const marked = (changes: Partial<ProposalSubject>) =>
      proposalBody(subject(changes))
        .split('\n')
        .filter((line) => line.endsWith(' (claimed)'))
        .map((line) => /\*\*(.*):\*\*/.exec(line)?.[1]);
    assert.deepEqual(marked({ push }), ['Source repository', 'Commit', 'Pushed by']);
    assert.deepEqual(marked({ push: { ...push, proven: { by: 'forge', fields: ['actor'] } } }), ['Source repository', 'Commit']);
    assert.deepEqual(marked({ push: { ...push, ...(proven && { proven }) } }), []);
    const { commit: _, ...unsaid } = push;
    const labelled = { ...image, revision: '0123456789abcdef0123456789abcdef01234567' };
    assert.deepEqual(marked({ image: labelled, push: { ...unsaid, ...(proven && { proven }) } }), ['Commit']);
  });

  it('tells image, checks and next steps', () => {
    const body = proposalBody(subject());
    const sections = body.split('\n').filter((line) => line.startsWith('## '));
    assert.deepEqual(sections, ['## Image Details', '## Automated Checks', '## Next Steps']);
    for (const line of [
      '- **Service:** `match-list-processor`',
      '- **Image:** `ghcr.io/pitchconnect/match-list-processor:latest`',
      `- **Digest:** \`${image.digest}\``,
      '- **Source repository:** `PitchConnect/match-list-processor`',
      '- **Commit:** `0123456789abcdef0123456789abcdef01234567`',
      '- [x] **Pulled and verified**: the registry says that `latest` is this digest, 2 platforms',
      '- [x] **Scanned**: 1 high, 2 medium, 1 ignored by the policy',
      '  - **high** `CVE-2021-23337` in `lodash` `4.17.20`, fixed in `4.17.21`: lodash: command injection',
      '- [x] **Smoke-tested**: ready after 1.2 s (`http`) on `linux/amd64`',
    ]) {
      assert.ok(body.split('\n').includes(line), `${line}\nis not in\n${body}`);
    }
  });

  it('says no more than what was done: an image without checks is not pulled, and one by its tag is not pinned', () => {
    const skipped = { kind: 'skipped', by: 'ann', reason: 'x' } as const;
    for (const checks of [[], checksOf({ scan: skipped })])
      assert.match(proposalBody(subject({ checks })), /^- \[x\] \*\*Verified\*\*: the registry says/m);
    assert.match(proposalBody(subject({ byTag: true })), /^_Proposed by Landfall\. Only the tag is written: if it moves/m);
    assert.match(proposalBody(subject({ byTag: false })), /is pinned by its digest/);
  });

  it('leaves the box of a skipped check empty, and says who skipped it and why', () => {
    const waiver = { kind: 'skipped', by: 'ann', reason: 'no fix exists yet' } as const;
    const body = proposalBody(subject({ checks: checksOf({ scan: waiver, smoke: waiver }) }));
    assert.match(body, /^- \[ \] \*\*Scanned\*\*: skipped by ann: no fix exists yet$/m);
    assert.match(body, /^- \[ \] \*\*Smoke-tested\*\*: skipped by ann: no fix exists yet$/m);
  });

  it('does not say that the tag is a digest that an operator named', () => {
    const named = subject({ named: true });
    assert.match(
      proposalBody(named),
      /^- \[x\] \*\*Pulled and verified\*\*: the registry has this digest, which an operator named, 2 platforms$/m,
    );
    assert.equal(checkTexts(named)[0]?.description, 'sha256:abababababab is in the registry');
  });

  it('tells of the integration check, and of what was skipped in an earlier stage', () => {
    const at = '2026-01-01T00:00:00.000Z';
    const skipped = [
      { step: 'integration', by: 'ann', reason: 'the test is broken', at },
      { step: 'watch', stage: 'staging', by: 'bob', reason: 'it is slow', at },
    ] as const;
    const integration = { kind: 'skipped', by: 'ann', reason: 'the test is broken' } as const;
    const text = 'passed after 2.1 s';
    const integrated = { kind: 'checked', text, evidence: [{ title: 'Integration check', passed: true, text }] } as const;
    const body = proposalBody(subject({ checks: checksOf({ integration }), skipped }));
    assert.match(body, /^- \[ \] \*\*Integration check\*\*: skipped by ann: the test is broken$/m);
    assert.match(body, /^- \[ \] \*\*watch \\\(staging\\\)\*\*: skipped by bob: it is slow$/m);
    assert.equal(body.match(/skipped by/g)?.length, 2, 'each is told once');
    const passed = subject({ checks: checksOf({ integration: integrated }) });
    assert.match(proposalBody(passed), /^- \[x\] \*\*Integration check\*\*: passed after 2\.1 s$/m);
    assert.deepEqual(
      [passed, subject({ checks: checksOf({ integration }) })].map((told) => checkTexts(told).at(-1)),
      [
        { context: 'landfall/integration', state: 'success', description: 'passed after 2.1 s' },
        { context: 'landfall/integration', state: 'success', description: 'skipped by ann: the test is broken' },
      ],
    );
  });

  it('tells any evidence, of a check that it has never heard of', () => {
    const evidence: Evidence[] = [
      {
        title: 'Signed',
        passed: true,
        text: `by ${quoted('ci@team')}`,
        items: [{ label: 'issuer', text: 'https://x.y' }, { text: 'logged' }],
      },
      { title: 'Provenance', passed: false, text: 'level 1', rows: [['builder', 'unknown']] },
    ];
    const told = subject({
      checks: [{ kind: 'signature', title: 'Signed', outcome: { kind: 'checked', text: 'fine', evidence } }],
    });
    const body = proposalBody(told).replaceAll('\u200b', '');
    assert.ok(
      body.includes(
        '- [x] **Signed**: by `ci@team`\n  - **issuer** https://x.y\n  - logged\n- [ ] **Provenance**: level 1\n  - builder, unknown\n',
      ),
      body,
    );
    assert.deepEqual(checkTexts(told).at(-1), {
      context: 'landfall/signature',
      state: 'failure',
      description: 'by ci@\u200bteam; level 1',
    });
  });

  it('holds nothing active in evidence of any shape', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const evidence = [{ title: text, passed: true, text, items: [{ label: text, text }, { text: quoted(text) }] }];
        const told = subject({ checks: [{ kind: 'x', title: text, outcome: { kind: 'checked', text, evidence } }] });
        const own = subject({
          checks: [
            {
              kind: 'x',
              title: 'x',
              outcome: {
                kind: 'checked',
                text: '',
                evidence: [{ title: 'x', passed: true, text: 'x', items: [{ text: 'x' }, { text: 'x' }] }],
              },
            },
          ],
        });
        assert.equal(proposalBody(told).split('\n').length, proposalBody(own).split('\n').length);
        assert.doesNotMatch(proposalBody(told), active);
        assert.doesNotMatch(
          proposalBody(told).replace(/`[^`\n]*`|\\[^\w\s]/g, ''),
          /[<`|]|\]\(/,
          'beside code and escaped signs',
        );
        assert.doesNotMatch(checkTexts(told).at(-1)?.description ?? '', active);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps evidence of any length small', () => {
    const long = 'x'.repeat(100_000);
    const many = Array.from({ length: 100 }, () => long);
    const piece: Evidence = {
      title: long,
      passed: false,
      text: long,
      short: long,
      items: many.map((text) => ({ label: text, text })),
      rows: [many, many],
      log: `${long}end`,
      artifacts: many,
    };
    const kept = bounded(Array.from({ length: 100 }, () => piece));
    assert.equal(kept.length, 5);
    assert.ok(JSON.stringify(kept[0]).length < 64 * 1024, `${JSON.stringify(kept[0]).length}`);
    assert.match(kept[0]?.log ?? '', /end$/);
    const small: Evidence = { title: 'a', passed: true, text: 'b', items: [{ text: 'c' }], rows: [['d']], log: 'e' };
    assert.deepEqual(bounded([small]), [small]);
  });

  it('does not speak of checks that are not configured', () => {
    assert.doesNotMatch(proposalBody(subject({ checks: [] })), /Scanned|Smoke/);
  });

  it('takes commit and source repository from the labels only in their own form', () => {
    const { commit: _commit, sourceRepository: _source, ...push } = subject().push;
    const labelled = (revision: string, source: string) => proposalBody(subject({ push, image: { ...image, revision, source } }));
    assert.match(labelled('abcdef0123', 'https://git.example.org/team/app'), /Commit:\*\* `abcdef0123`/);
    assert.match(labelled('v1', 'javascript:alert(1)'), /Source repository:\*\* unknown\n- \*\*Commit:\*\* unknown/);
    assert.match(labelled('', 'https://user:secret@example.org/x'), /Source repository:\*\* unknown/);
  });

  it('holds nothing active, whatever labels, findings and people say', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const finding = { ...scan.worst[0], id: text, where: text, installed: text, fixed: text, title: text };
        const body = proposalBody(
          subject({
            image: { ...image, revision: text, source: text },
            push: { ...subject().push, commit: text, sourceRepository: text, actor: text },
            checks: checksOf({
              scan: scanned({ ...scan, worst: [{ kind: 'secret', severity: 'high', platform: text, ...finding }] }),
              smoke: { kind: 'skipped', by: text, reason: text },
            }),
          }),
        );
        const own = proposalBody(
          subject({ checks: checksOf({ scan: scanned(scan), smoke: { kind: 'skipped', by: 'x', reason: 'y' } }) }),
        ).split('\n');
        // One more line: who pushed.
        assert.equal(body.split('\n').length, own.length + 1);
        assert.doesNotMatch(body, active);
        assert.doesNotMatch(body.replace(/`[^`\n]*`|\\[^\w\s]/g, ''), /[<`|]|\]\(/, 'beside code and escaped signs');
      }),
      { numRuns: 500 },
    );
  });

  it('takes a template', () => {
    assert.equal(proposalBody(subject(), '`{tag}` of {service} {unknown}'), '`latest` of match-list-processor {unknown}');
  });

  it('has at most 65,536 characters, and never half of one', () => {
    const body = proposalBody(subject(), `x${'🚀'.repeat(70_000)}`);
    assert.ok(body.length <= 65_536 && !half.test(body));
    assert.match(body, /shortened/);
    const many = Array.from({ length: 10 }, () => ({ ...scan.worst[0], title: 'x'.repeat(100_000) }));
    const findings = many.map((finding) => ({
      kind: 'secret' as const,
      id: 'i',
      severity: 'high' as const,
      where: 'w',
      platform: 'p',
      ...finding,
    }));
    assert.ok(proposalBody(subject({ checks: checksOf({ scan: scanned({ ...scan, worst: findings }) }) })).length < 10_000);
  });
});

describe('text from outside', () => {
  it('is one line, without characters that hide or turn text', () => {
    assert.equal(inert(' a\r\n\tb\u2028c\u202ed\0e '), 'a b c d e');
    assert.equal(inert('x'.repeat(300)).length, 200);
  });

  it('mentions nobody and refers to nothing, and reads the same', () => {
    const text = 'fixes #12, GH-3 and https://github.com/a/b/issues/1 (@ann)';
    assert.doesNotMatch(inert(text), active);
    assert.equal(inert(text).replaceAll('\u200b', ''), text);
  });

  it('cannot end the code that it is shown as', () => {
    assert.equal(code('a`b``c'), "`a'b''c`");
    assert.equal(code(''), '` `');
  });

  it('is no Markdown and no HTML in prose', () => {
    assert.equal(prose('**a** <b> [c](d) ![e] `f` |'), '\\*\\*a\\*\\* \\<b\\> \\[c\\]\\(d\\) \\!\\[e\\] \\`f\\` \\|');
  });
});

describe('commit statuses', () => {
  it('say what verify, scan and smoke said', () => {
    assert.deepEqual(checkTexts(subject()), [
      { context: 'landfall/verify', state: 'success', description: 'latest is sha256:abababababab' },
      { context: 'landfall/scan', state: 'success', description: '1 high, 2 medium; none fails the policy' },
      { context: 'landfall/smoke', state: 'success', description: 'ready after 1.2 s (http) on linux/amd64' },
    ]);
  });

  it('pass for a skipped check, and name who skipped it; are not there for one that is not configured', () => {
    const waiver = { kind: 'skipped', by: 'ann', reason: 'r'.repeat(300) } as const;
    const texts = checkTexts(subject({ checks: checksOf({ scan: waiver }) }));
    assert.deepEqual(
      texts.map(({ context, state }) => [context, state]),
      [
        ['landfall/verify', 'success'],
        ['landfall/scan', 'success'],
      ],
    );
    assert.match(texts[1]?.description ?? '', /^skipped by ann: r+…$/);
    assert.ok(texts.every(({ description }) => description.length <= 140));
  });
});
