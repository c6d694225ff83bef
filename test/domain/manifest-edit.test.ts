import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import { editManifest, manifestSays, readReference, restoreManifest } from '../../src/domain/manifest-edit/index.ts';
import type { ImageIdentity } from '../../src/domain/outcomes.ts';
import type { ChangePlan, ChangeTarget } from '../../src/domain/plan.ts';

const digest = `sha256:${'0a'.repeat(32)}` as Digest;
const image: ImageIdentity = { repository: 'ghcr.io/team/app' as Repository, tag: 'v2' as Tag, digest };
const compose: ChangeTarget = { kind: 'compose', services: ['web'] };

function change(target: ChangeTarget, more: Partial<ChangePlan> = {}): ChangePlan {
  return {
    repository: 'team/deploy',
    base: 'main',
    file: 'file.yml',
    target,
    pin: 'tag@digest',
    value: 'reference',
    labels: [],
    reviewers: [],
    assignees: [],
    merge: 'off',
    ...more,
  };
}

/** A text in pieces: what stands before an image, the image, what stands after it. */
interface Around {
  readonly before: string;
  readonly old: string;
  readonly after: string;
}

const spelling = fc.constantFrom(
  { written: 'nginx', repository: 'docker.io/library/nginx' },
  { written: 'docker.io/nginx', repository: 'docker.io/library/nginx' },
  { written: 'team/app', repository: 'docker.io/team/app' },
  { written: 'GHCR.io/team/app', repository: 'ghcr.io/team/app' },
  { written: 'localhost:5000/a/b-c__d', repository: 'localhost:5000/a/b-c__d' },
);
const ending = fc.constantFrom('', ':latest', ':1.25', `@sha256:${'f'.repeat(64)}`, `:1@sha256:${'e'.repeat(64)}`);
const newTag = fc.constantFrom('1.26', '20240501', 'no', '1e3', 'v2', 'latest', '0x1f', '_', '1_000', '0o7', 'null', 'y');
const pin = fc.constantFrom('tag@digest' as const, 'tag' as const, 'digest' as const);
const lineEnd = fc.constantFrom('\n', '\r\n');
const quote = fc.constantFrom('', '"', "'");
const comment = fc.constantFrom('', ' # nginx:1.25', '   # image: "x" é 🚀', '\t# {[', ' #');
const start = fc.constantFrom('', '\uFEFF', '# head: nginx\n\n', '---\n', '%YAML 1.2\n---\n', 'x-base: &base\n  image: nginx\n');
const sibling = fc.constantFrom(
  'restart: always',
  'ports: ["80:80"]',
  'environment:\n      A: "image: nginx"',
  '# image: other',
  'command: >\n      image: nginx\n      x',
  'labels: {a: b,   c: d}',
  '"build": .',
  '',
);
const otherService = fc.constantFrom(
  'api:\n    image: nginx:1.25',
  "'db': {image: postgres, x: [1, 2]}",
  'webb:\n    image: nginx',
  '# web:\n  #   image: nginx',
  'empty: {}',
  'cache:\n    <<: {image: redis}',
);

function expectedValue(written: string, wanted: ImageIdentity, how: ChangePlan['pin']): string {
  return `${written}${how === 'digest' ? '' : `:${wanted.tag}`}${how === 'tag' ? '' : `@${wanted.digest}`}`;
}

/** Edits, and claims what every edit must keep. */
function assertEdits({ before, old, after }: Around, expected: string, plan: ChangePlan, wanted: ImageIdentity): string {
  const text = before + old + after;
  const edit = editManifest(text, plan, wanted);
  assert.equal(edit.text, before + expected + after);
  const again = editManifest(edit.text, plan, wanted);
  assert.equal(again.text, edit.text);
  assert.deepEqual(again.before, edit.after);
  return edit.text;
}

const composeFile = fc
  .record({
    start,
    quote,
    comment,
    lineEnd,
    siblings: fc.array(sibling, { maxLength: 3 }),
    more: fc.array(sibling, { maxLength: 3 }),
    others: fc.uniqueArray(otherService, { maxLength: 3 }),
    later: fc.boolean(),
    finalLine: fc.boolean(),
    anchor: fc.constantFrom('', '&img ', '!!str '),
  })
  .map(({ start, quote, comment, lineEnd, siblings, more, others, later, finalLine, anchor }) => {
    const unique = [...new Set([...siblings, ...more].filter((line) => line !== ''))];
    const above = unique.slice(0, siblings.length).map((line) => `    ${line}\n`);
    const below = unique.slice(siblings.length).map((line) => `\n    ${line}`);
    const services = others.map((service) => `  ${service}\n`);
    const before = `${start}services:\n${later ? services.join('') : ''}  web:\n${above.join('')}    image: ${anchor}${quote}`;
    const after = `${quote}${comment}${below.join('')}${later ? '' : `\n${services.join('').trimEnd()}`}${finalLine ? '\n' : ''}`;
    const style = (text: string) => text.replaceAll(/\r?\n/g, lineEnd);
    return { before: style(before), after: style(after) };
  });

describe('an edit of a manifest', () => {
  it('changes the image of a Compose service, and every other byte stays as it was', () => {
    fc.assert(
      fc.property(composeFile, spelling, ending, newTag, pin, ({ before, after }, { written, repository }, end, tag, how) => {
        const wanted = { repository: repository as Repository, tag: tag as Tag, digest };
        const expected = expectedValue(written, wanted, how);
        const text = assertEdits({ before, old: written + end, after }, expected, change(compose, { pin: how }), wanted);
        const documents = parseAllDocuments(text);
        assert.equal(documents[0]?.getIn(['services', 'web', 'image']), expected);
      }),
      { numRuns: 3000 },
    );
  });

  it('changes the value that a YAML path leads to, and every other byte stays as it was', () => {
    const shapes = fc.constantFrom(
      {
        before: 'kind: Service\n---\nspec:\n  containers:\n  - name: side\n    image: busybox\n  - image: ',
        after: '\n    name: web\n',
        path: 'spec.containers[name=web].image',
      },
      { before: '{"spec": {"containers": [{"name": "web", "image": ', after: '}]}}', path: 'spec.containers[0].image' },
      {
        before: 'spec: {containers: [{name: web, image: ',
        after: ', x: 1}, {name: b}]} # end',
        path: 'spec.containers[name=web].image',
      },
      { before: 'a:\n  "x.y":\n  - - k: 1\n      image:   ', after: '\n...\n# over\n---\nb: 1\n', path: 'a["x.y"][0][0].image' },
      { before: 'image: &x ', after: '\nb: *x\nc: |\n  image: nginx\n', path: 'image' },
    );
    fc.assert(
      fc.property(
        shapes,
        quote,
        lineEnd,
        spelling,
        ending,
        newTag,
        pin,
        (shape, mark, newline, { written, repository }, end, tag, how) => {
          const wanted = { repository: repository as Repository, tag: tag as Tag, digest };
          const expected = expectedValue(written, wanted, how);
          const [before, after] = [shape.before + mark, mark + shape.after].map((text) => text.replaceAll('\n', newline));
          const around = { before: before ?? '', old: written + end, after: after ?? '' };
          const text = assertEdits(around, expected, change({ kind: 'yaml', path: shape.path }, { pin: how }), wanted);
          assert.ok(parseAllDocuments(text).every((document) => document.errors.length === 0));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('changes a bare value, with quotes where it would not be text without', () => {
    const shapes = fc.constantFrom(
      { before: 'image: {repository: x, tag: ', after: '}' },
      { before: '# tag: 1\nimage:\n  tag:\t', after: ' # c\n' },
    );
    const old = fc.constantFrom('1.25', 'v1', '20240101', `sha256:${'f'.repeat(64)}`, `1@sha256:${'f'.repeat(64)}`, 'no');
    fc.assert(
      fc.property(shapes, quote, old, newTag, pin, ({ before, after }, mark, value, tag, how) => {
        const wanted = { ...image, tag: tag as Tag };
        const expected = { tag, digest, 'tag@digest': `${tag}@${digest}` }[how];
        const plan = change({ kind: 'yaml', path: 'image.tag' }, { pin: how, value: 'bare' });
        const { text } = editManifest(before + mark + value + mark + after, plan, wanted);
        const marks = mark === '' && text !== before + value + after ? ['', '"'] : [mark];
        assert.ok(
          marks.some((each) => text === before + each + expected + each + after),
          text,
        );
        if (expected !== value) {
          for (const version of ['1.1', '1.2'] as const)
            assert.equal(parseAllDocuments(text, { version })[0]?.getIn(['image', 'tag']), expected);
        }
        assert.equal(editManifest(text, plan, wanted).text, text);
      }),
      { numRuns: 2000 },
    );
  });

  it('changes the key of an environment file, and every other byte stays as it was', () => {
    const line = fc.constantFrom(
      '# APP_IMAGE=nginx',
      'OTHER=nginx:1',
      'MY_APP_IMAGE=nginx',
      'APP_IMAGE_2=x',
      '',
      'export X="a b" # c',
      "M='line one\nAPP_IMAGE=nginx\nlast'",
      'E=',
      'not an assignment',
      '  ',
    );
    const prefix = fc.constantFrom('APP_IMAGE=', 'export APP_IMAGE=', '  APP_IMAGE = ', 'export  APP_IMAGE=\t');
    const tail = fc.constantFrom('', ' # nginx', '  ', '\t#');
    fc.assert(
      fc.property(
        fc.array(line),
        prefix,
        quote,
        tail,
        fc.array(line),
        lineEnd,
        fc.boolean(),
        fc.constantFrom('', '\uFEFF'),
        spelling,
        ending,
        (above, key, mark, end, below, newline, finalLine, mark0, { written, repository }, old) => {
          const style = (text: string) => text.replaceAll('\n', newline);
          const before = mark0 + style(above.map((each) => `${each}\n`).join('') + key + mark);
          const after = style(mark + end + below.map((each) => `\n${each}`).join('') + (finalLine ? '\n' : ''));
          const wanted = { ...image, repository: repository as Repository };
          const plan = change({ kind: 'env', key: 'APP_IMAGE' }, { file: '.env' });
          assertEdits({ before, old: written + old, after }, expectedValue(written, wanted, 'tag@digest'), plan, wanted);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('changes the image on a marked line of any text file, and every other byte stays as it was', () => {
    const shapes = fc.constantFrom(
      ['image: ', ''],
      ['  - "', '",'],
      ["app = '", "'"],
      ['FROM ', ' AS web'],
      ['x={a: 1, b: [', ']}'],
      ['"nginx": ', ''],
      ['export A=', ' ;'],
    );
    const marker = fc.constantFrom(
      '# landfall: web',
      '#landfall:web',
      '  # landfall:   web  ',
      '// landfall: web',
      '# see docs # landfall: web',
    );
    fc.assert(
      fc.property(
        shapes,
        marker,
        lineEnd,
        spelling,
        ending,
        ([left = '', right = ''], mark, newline, { written, repository }, old) => {
          const before = `nginx:1 # landfall: other${newline}nginx # landfall: web2${newline}${left}`;
          const after = `${right} ${mark}${newline}nginx:1.2 # landfall: web, see above${newline}`;
          const wanted = { ...image, repository: repository as Repository };
          const plan = change({ kind: 'marker', name: 'web' }, { file: 'values.conf' });
          assertEdits({ before, old: written + old, after }, expectedValue(written, wanted, 'tag@digest'), plan, wanted);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('never fails with anything but a refusal, whatever the file holds', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({
        unit: fc.constantFrom(
          'services:',
          'web:',
          'image:',
          '\n',
          '  ',
          ' ',
          '- ',
          'nginx',
          '"',
          "'",
          '&a',
          '*a',
          '<<:',
          '{',
          '}',
          '[',
          ']',
          '|',
          '#',
          '\t',
          '\r\n',
          '---',
          '$',
          '=',
          '# landfall: web',
          'WEB',
          ',',
        ),
        maxLength: 25,
      }),
    );
    const targets: ChangeTarget[] = [
      compose,
      { kind: 'yaml', path: 'services[0].web' },
      { kind: 'marker', name: 'web' },
      { kind: 'env', key: 'WEB' },
      { kind: 'images' },
    ];
    fc.assert(
      fc.property(
        text,
        fc.constantFrom(...targets),
        fc.constantFrom('reference' as const, 'bare' as const),
        (content, target, value) => {
          for (const act of [editManifest, readReference]) {
            try {
              assert.ok(act(content, change(target, { value }), image));
            } catch (error) {
              assert.match(error instanceof Error ? error.name : '', /^(TargetNotFound|EditRefused)$/, String(error));
            }
          }
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('changes several services of one file at once', () => {
    const text =
      'services:\n  worker:\n    image: ghcr.io/team/app:v1 # w\n  db: {image: postgres}\n  web: {image: "ghcr.io/team/app"}\n';
    const edit = editManifest(text, change({ kind: 'compose', services: ['web', 'worker', 'web'] }), image);
    const value = `ghcr.io/team/app:v2@${digest}`;
    assert.equal(edit.text, text.replace('ghcr.io/team/app:v1', value).replace('"ghcr.io/team/app"', `"${value}"`));
    assert.deepEqual(edit.before, ['ghcr.io/team/app', 'ghcr.io/team/app:v1']);
    assert.deepEqual(edit.after, [value, value]);
  });

  describe('by default', () => {
    const byDefault = change({ ...compose, orByImage: true });
    const edited = (text: string) => editManifest(text, byDefault, image).text;
    const value = `ghcr.io/team/app:v2@${digest}`;

    it('changes the service of that name, else the only one that uses the image, and finds the way back', () => {
      const named = 'services:\n  web: {image: "ghcr.io/team/app:v1"}\n  app-service: {image: "ghcr.io/team/app:v1"}\n';
      assert.equal(edited(named), named.replace('ghcr.io/team/app:v1', value));
      const other = 'services:\n  app-service:\n    image: ghcr.io/team/app:v1 # ours\n  db: {image: postgres}\n';
      const edit = editManifest(other, byDefault, image);
      assert.equal(edit.text, other.replace('ghcr.io/team/app:v1', value));
      const restored = restoreManifest(edit.text, byDefault, image, edit);
      assert.ok(restored.kind === 'restored' && restored.text === other);
    });

    it('asks for services where several use the image, or none', () => {
      const several = 'services: {one: {image: ghcr.io/team/app}, two: {image: "ghcr.io/team/app:v1"}}';
      const expected = /several use ghcr\.io\/team\/app: services\.one\.image, services\.two\.image; let change\.services name/;
      assert.throws(() => edited(several), { name: 'EditRefused', message: expected });
      const none = 'services: {one: {image: postgres}}';
      assert.throws(() => edited(none), { name: 'TargetNotFound', message: /its services are: one; let change\.services name/ });
    });
  });

  it('returns the very text where the image stands there already', () => {
    const text = `services: {web: {image: 'ghcr.io/team/app:v2@${digest}'}}`;
    assert.equal(editManifest(text, change(compose), image).text, text);
  });
});

describe('an edit of a manifest is refused', () => {
  const web = (body: string) => `services:\n  web:\n    ${body}\n`;
  const refusals: readonly (readonly [string, string, ChangePlan, string, RegExp])[] = [
    [
      'where the file has no such service',
      'services: {api: {image: a}, db: {image: b}}',
      change(compose),
      'TargetNotFound',
      /^file\.yml has no service 'web'; its services are: api, db; let change\.services name/,
    ],
    [
      'where the file has no services',
      'version: 3\n',
      change(compose),
      'TargetNotFound',
      /no services at all; its keys are: version/,
    ],
    ['where the file is empty', '', change(compose), 'TargetNotFound', /keys are: none/],
    ['where the service is only built', web('build: .'), change(compose), 'EditRefused', /built where it is deployed/],
    ['where the service has no image', web('ports: []'), change(compose), 'EditRefused', /has no image; it has: ports/],
    ['where the service extends another', web('extends: base'), change(compose), 'EditRefused', /extends another/],
    [
      'where another image stands',
      web('image: ghcr.io/team/other:v1'),
      change(compose),
      'EditRefused',
      /services\.web\.image is 'ghcr.io\/team\/other:v1', expected an image of ghcr.io\/team\/app/,
    ],
    ['where a variable stands', web(`image: ghcr.io/team/app:$\{TAG}`), change(compose), 'EditRefused', /put together/],
    [
      'where the value is an alias',
      `x: &i ghcr.io/team/app\n${web('image: *i')}`,
      change(compose),
      'EditRefused',
      /is an alias \(\*i\)/,
    ],
    [
      'where the service is an alias',
      'x: &w {image: ghcr.io/team/app}\nservices: {web: *w}',
      change(compose),
      'EditRefused',
      /services\.web is an alias/,
    ],
    [
      'where the value comes from a merge',
      `x: &w {image: ghcr.io/team/app}\n${web('<<: [*w]')}`,
      change(compose),
      'EditRefused',
      /services\.web\.image comes from a merge/,
    ],
    ['where the value is a block', web('image: >\n      ghcr.io/team/app'), change(compose), 'EditRefused', /block of text/],
    ['where the value is empty', web('image:'), change(compose), 'EditRefused', /is empty/],
    ['where the value is a map', web('image: {a: b}'), change(compose), 'EditRefused', /is a map/],
    ['where the value is no reference', web('image: "not an image"'), change(compose), 'EditRefused', /no image reference/],
    ['where the YAML is broken', 'a: 1\nservices:\n\tweb: {', change(compose), 'EditRefused', /line 3: invalid YAML/],
    [
      'where a service is there twice',
      'services:\n  web: {image: a}\n  web: {image: b}\n',
      change(compose),
      'EditRefused',
      /line 3/,
    ],
    ['where the nesting is absurd', '['.repeat(100_000), change(compose), 'EditRefused', /levels of nesting/],
    ['where lists of lists are absurd', '- '.repeat(100_000), change(compose), 'EditRefused', /levels of nesting/],
    [
      'where the path ends early',
      'spec: {containers: [{name: a, image: x}]}',
      change({ kind: 'yaml', path: 'spec.containers[name=web].image' }),
      'TargetNotFound',
      /has no spec\.containers\[name=web\]\.image; where the path ends, it has: \[name=a\]/,
    ],
    [
      'where the path is in two documents',
      'image: x\n---\nimage: y\n',
      change({ kind: 'yaml', path: 'image' }),
      'EditRefused',
      /in 2 documents/,
    ],
    [
      'where two items have the name',
      'c: [{name: a, image: x}, {name: a, image: x}]',
      change({ kind: 'yaml', path: 'c[name=a].image' }),
      'EditRefused',
      /stands there 2 times/,
    ],
    ['where the path is none', 'a: 1', change({ kind: 'yaml', path: 'a..b' }), 'EditRefused', /expected a path such as/],
    [
      'where a bare value is a whole reference',
      'tag: ghcr.io/team/app:v1',
      change({ kind: 'yaml', path: 'tag' }, { value: 'bare' }),
      'EditRefused',
      /leave out 'value: bare'/,
    ],
    [
      'where no line is marked so',
      'image: a # landfall: api\n',
      change({ kind: 'marker', name: 'web' }),
      'TargetNotFound',
      /marked lines are for: api/,
    ],
    [
      'where the marked line has another image',
      'image: nginx # landfall: web',
      change({ kind: 'marker', name: 'web' }),
      'EditRefused',
      /line 1 has no such value, expected one reference to ghcr\.io\/team\/app/,
    ],
    [
      'where the marked line has two',
      'a: [ghcr.io/team/app:1, ghcr.io/team/app:2] # landfall: web',
      change({ kind: 'marker', name: 'web' }),
      'EditRefused',
      /has 2 such/,
    ],
    [
      'where the marked line has a variable',
      `image: ghcr.io/team/app:1.$\{MINOR} # landfall: web`,
      change({ kind: 'marker', name: 'web' }),
      'EditRefused',
      /from variables/,
    ],
    [
      'where the marked line has only a key',
      'TAG="" # landfall: web',
      change({ kind: 'marker', name: 'web' }, { value: 'bare' }),
      'EditRefused',
      /expected a tag or a digest/,
    ],
    [
      'where a marked tag would become a number',
      'tag: v1 # landfall: web',
      change({ kind: 'marker', name: 'web' }, { value: 'bare', pin: 'tag' }),
      'EditRefused',
      /put the value into quotes/,
    ],
    [
      'where the key is not there',
      'A=1\nB=2\n',
      change({ kind: 'env', key: 'WEB' }),
      'TargetNotFound',
      /no key WEB; its keys are: A, B/,
    ],
    ['where the key is there twice', 'WEB=a\n\nWEB=b\n', change({ kind: 'env', key: 'WEB' }), 'EditRefused', /lines 1 and 3/],
    ['where the key holds a variable', 'WEB=$REGISTRY/app', change({ kind: 'env', key: 'WEB' }), 'EditRefused', /put together/],
  ];
  for (const [claim, text, plan, type, message] of refusals) {
    it(claim, () => {
      const numeric = plan.pin === 'tag' ? { ...image, tag: '20240501' as Tag } : image;
      assert.throws(() => editManifest(text, plan, numeric), { name: type, message });
    });
  }
});

describe('a look at a manifest', () => {
  it('says what stands there now, as text and as a reference', () => {
    const text = `services: {web: {image: nginx:1.25}, other: {image: "a b"}, var: {image: "x:$\{T}"}}`;
    const plan = change({ kind: 'compose', services: ['web', 'other', 'var'] });
    assert.deepEqual(readReference(text, plan, image), [
      { text: 'nginx:1.25', reference: { repository: 'docker.io/library/nginx', tag: '1.25' } },
      { text: 'a b' },
      { text: `x:$\{T}` },
    ]);
  });

  it('completes a bare value with the repository of the service', () => {
    const look = (value: string) =>
      readReference(`tag: "${value}"`, change({ kind: 'yaml', path: 'tag' }, { value: 'bare' }), image)[0]?.reference;
    assert.deepEqual(look('v1'), { repository: image.repository, tag: 'v1' });
    assert.deepEqual(look(digest), { repository: image.repository, digest });
    assert.deepEqual(look(`v1@${digest}`), { repository: image.repository, tag: 'v1', digest });
    assert.equal(look('a/b'), undefined);
  });

  it('reads a tag as written, not as the number that YAML makes of it', () => {
    const plan = change({ kind: 'yaml', path: 'tag' }, { value: 'bare' });
    assert.equal(readReference('tag: 1.10', plan, image)[0]?.text, '1.10');
  });
});

describe('a rollback of an edit', () => {
  const marked = change({ kind: 'marker', name: 'app' }, { value: 'bare', file: 'values.yml' });

  it('puts every byte back, whatever the quotes, and the number that an edit had made a text', () => {
    fc.assert(
      fc.property(quote, fc.constantFrom('1.25', '20240501', 'v1', 'latest'), lineEnd, comment, (around, tag, end, after) => {
        const text = `a: 1${end}tag: ${around}${tag}${around}${after}${end}b: 2`;
        const byPath = change({ kind: 'yaml', path: 'tag' }, { value: 'bare' });
        const edit = editManifest(text, byPath, image);
        assert.notEqual(edit.text, text);
        assert.deepEqual([edit.before, edit.written?.before ?? edit.before], [[tag], [`${around}${tag}${around}`]]);
        const { written, before, after: now } = edit;
        assert.deepEqual(restoreManifest(edit.text, byPath, image, edit), {
          kind: 'restored',
          text,
          before: now,
          after: before,
          ...(written && { written: { before: written.after, after: written.before } }),
        });
        assert.equal(manifestSays(text, byPath, image, before), true);
        assert.equal(manifestSays(edit.text, byPath, image, before), false);
      }),
    );
  });

  it('keeps what others changed since, around it and in the quotes of the value', () => {
    const text = 'services:\n  web:\n    image: ghcr.io/team/app:v1\n  db:\n    image: postgres:16\n';
    const edit = editManifest(text, change(compose), image);
    const later = edit.text.replace('postgres:16', 'postgres:17').replace(/image: (ghcr\S+)/, "image: '$1'");
    const restored = restoreManifest(later, change(compose), image, edit);
    assert.equal(restored.kind === 'restored' && restored.text, text.replace('postgres:16', 'postgres:17'));
  });

  it('writes nothing where the places say it already, and finishes what somebody began', () => {
    const two = change({ kind: 'compose', services: ['web', 'worker'] });
    const text = 'services:\n  web:\n    image: ghcr.io/team/app:v1\n  worker:\n    image: ghcr.io/team/app:v0\n';
    const edit = editManifest(text, two, image);
    assert.deepEqual(restoreManifest(text, two, image, edit), { kind: 'unchanged' });
    const half = edit.text.replace(/(worker:\n {4}image: ).*/, '$1"ghcr.io/team/app:v0"');
    const restored = restoreManifest(half, two, image, edit);
    assert.equal(restored.kind === 'restored' && restored.text, text.replace('ghcr.io/team/app:v0', '"ghcr.io/team/app:v0"'));
  });

  it('names the place that says something else by now, and touches nothing', () => {
    const text = 'tag: v1 # landfall: app\n';
    const edit = editManifest(text, marked, image);
    const later = 'tag: v3 # landfall: app\n';
    assert.deepEqual(restoreManifest(later, marked, image, edit), { kind: 'changed', place: 'line 1', says: 'v3' });
    assert.throws(() => restoreManifest('tag: v1\n', marked, image, edit), { type: 'TargetNotFound' });
  });
});
