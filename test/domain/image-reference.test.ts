import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatReference,
  InvalidReference,
  isDigest,
  isTag,
  parseReference,
  parseRepository,
  pathOf,
  registryOf,
  writtenRepository,
} from '../../src/domain/image-reference.ts';

const hex = 'ab'.repeat(32);
const digest = `sha256:${hex}`;

const from = (alphabet: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });
const lowerAlphanumeric = 'abcxyz0189';

const pathComponent = fc
  .tuple(
    from(lowerAlphanumeric, 1, 5),
    fc.array(fc.tuple(fc.constantFrom('.', '_', '__', '-', '--', '-----'), from(lowerAlphanumeric, 1, 5)), { maxLength: 3 }),
  )
  .map(([first, rest]) => first + rest.flat().join(''));
const path = fc.array(pathComponent, { minLength: 1, maxLength: 4 }).map((components) => components.join('/'));
/** A name that Docker Hub could have: with a dot before its first slash it would name a registry. */
const hubPath = path.filter((name) => !/^[^/]*\.[^/]*\//.test(name) && !/^localhost\//.test(name));
const domainComponent = fc.oneof(
  from('abcXYZ019', 1, 5),
  fc.tuple(from('abZ0', 1, 2), from('ab-Z0', 0, 5), from('abZ0', 1, 2)).map((parts) => parts.join('')),
);
const port = fc.option(
  fc.integer({ min: 1, max: 65535 }).map((number) => `:${number}`),
  { nil: '' },
);
const host = fc.oneof(
  fc
    .tuple(domainComponent, fc.array(domainComponent, { minLength: 1, maxLength: 3 }), port)
    .map(([first, rest, suffix]) => `${[first, ...rest].join('.')}${suffix}`),
  fc.tuple(domainComponent, fc.integer({ min: 1, max: 65535 })).map(([name, number]) => `${name}:${number}`),
  fc.tuple(fc.constantFrom('localhost', '[::1]', '[2001:db8::a]'), port).map((parts) => parts.join('')),
);
const anyName = fc.oneof(
  hubPath,
  fc.tuple(host, path).map((parts) => parts.join('/')),
);
const tag = fc.tuple(from('aZ0_', 1, 1), from('aZ0_.-', 0, 127)).map((parts) => parts.join(''));
const anyDigest = from('0123456789abcdef', 64, 64).map((digits) => `sha256:${digits}`);
const suffix = fc.record({ tag: fc.option(tag, { nil: undefined }), digest: fc.option(anyDigest, { nil: undefined }) });
const written = (name: string, end: { tag: string | undefined; digest: string | undefined }) =>
  `${name}${end.tag === undefined ? '' : `:${end.tag}`}${end.digest === undefined ? '' : `@${end.digest}`}`;

describe('an image reference', () => {
  it('of a registry parses into its parts and formats back, with the registry in lower case', () => {
    fc.assert(
      fc.property(host, path, suffix, (registry, name, end) => {
        const reference = parseReference(written(`${registry}/${name}`, end));
        assert.equal(registryOf(reference.repository), registry.toLowerCase());
        assert.equal(pathOf(reference.repository), name);
        assert.deepEqual({ tag: reference.tag, digest: reference.digest }, { ...end });
        assert.equal(formatReference(reference), written(`${registry.toLowerCase()}/${name}`, end));
      }),
      { numRuns: 3000 },
    );
  });

  it('without a registry is one of Docker Hub, and of its library where it is a single word', () => {
    fc.assert(
      fc.property(hubPath, suffix, (name, end) => {
        const full = name.includes('/') ? `docker.io/${name}` : `docker.io/library/${name}`;
        assert.equal(formatReference(parseReference(written(name, end))), written(full, end));
      }),
      { numRuns: 3000 },
    );
  });

  it('in its canonical form parses to itself', () => {
    fc.assert(
      fc.property(anyName, suffix, (name, end) => {
        const canonical = formatReference(parseReference(written(name, end)));
        assert.equal(formatReference(parseReference(canonical)), canonical);
      }),
      { numRuns: 3000 },
    );
  });

  it('keeps the spelling of its author apart', () => {
    fc.assert(
      fc.property(anyName, suffix, (name, end) => {
        assert.equal(writtenRepository(written(name, end)), name);
      }),
    );
  });

  it('is refused with InvalidReference, and nothing else, for any other text', () => {
    const nearly = fc.string({
      unit: fc.constantFrom(...'aA0./:@-_[] \n\u212a\u0130é', 'sha256:', hex, 'docker.io'),
      maxLength: 30,
    });
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), nearly), (text) => {
        try {
          const canonical = formatReference(parseReference(text));
          assert.equal(formatReference(parseReference(canonical)), canonical);
          assert.match(canonical, /^[\x21-\x7e]+$/);
        } catch (error) {
          assert.ok(error instanceof InvalidReference, String(error));
        }
      }),
      { numRuns: 10000 },
    );
  });

  it('is refused in linear time however long and repetitive the text is', () => {
    const pieces = ['a', 'a-', '-', 'a.', 'a/', '_', '[:', '0:', 'a--', 'A.', '@', `${hex}@`];
    const started = performance.now();
    for (const piece of pieces) {
      for (const end of ['', '!', '/!', ':!', '.io/a!', '@sha256:x']) {
        const text = piece.repeat(1_000_000 / piece.length) + end;
        assert.throws(() => parseReference(text), InvalidReference);
        assert.throws(() => parseRepository(text), InvalidReference);
        assert.throws(() => parseReference(piece.repeat(500 / piece.length) + end), InvalidReference);
      }
    }
    assert.ok(performance.now() - started < 5000);
  });

  // The normalisation rules of Docker's ParseNormalizedNamed, and its own test vectors where they apply.
  const canonical: readonly (readonly [string, string])[] = [
    ['nginx', 'docker.io/library/nginx'],
    ['nginx:1.25', 'docker.io/library/nginx:1.25'],
    ['docker.io/nginx', 'docker.io/library/nginx'],
    ['docker.io/library/nginx', 'docker.io/library/nginx'],
    ['index.docker.io/library/nginx', 'docker.io/library/nginx'],
    ['index.docker.io/nginx', 'docker.io/library/nginx'],
    ['registry-1.docker.io/library/nginx', 'docker.io/library/nginx'],
    ['library/nginx', 'docker.io/library/nginx'],
    ['team/app', 'docker.io/team/app'],
    ['docker.io/team/app', 'docker.io/team/app'],
    ['team/sub/app', 'docker.io/team/sub/app'],
    ['localhost/app', 'localhost/app'],
    ['localhost:5000/app', 'localhost:5000/app'],
    ['localhost:5000', 'docker.io/library/localhost:5000'],
    ['127.0.0.1:5000/app:dev', '127.0.0.1:5000/app:dev'],
    ['127.0.0.1:5000/app', '127.0.0.1:5000/app'],
    ['[::1]:5000/app:dev', '[::1]:5000/app:dev'],
    ['[2001:DB8::A]/app', '[2001:db8::a]/app'],
    ['GHCR.io/team/app', 'ghcr.io/team/app'],
    ['registry:80/app', 'registry:80/app'],
    ['xn--n3h.com/app', 'xn--n3h.com/app'],
    ['asdf--asdf/foo__bar', 'docker.io/asdf--asdf/foo__bar'],
    ['a.b/c', 'a.b/c'],
    ['foo.bar', 'docker.io/library/foo.bar'],
    [`nginx@${digest}`, `docker.io/library/nginx@${digest}`],
    [`ghcr.io/team/app:1@${digest}`, `ghcr.io/team/app:1@${digest}`],
    ['app:_', 'docker.io/library/app:_'],
    [`app:${'x'.repeat(128)}`, `docker.io/library/app:${'x'.repeat(128)}`],
    [`a.b/${'x'.repeat(251)}`, `a.b/${'x'.repeat(251)}`],
    [hex.slice(1), `docker.io/library/${hex.slice(1)}`],
  ];
  for (const [text, expected] of canonical) {
    it(`${text.slice(0, 60)} is ${expected.slice(0, 60)}`, () => assert.equal(formatReference(parseReference(text)), expected));
  }

  const refused = [
    '',
    ' ',
    'nginx ',
    ' nginx',
    'nginx\n',
    'Nginx',
    'team/App',
    'Team/app',
    'FOO/bar',
    '/nginx',
    'nginx/',
    'a//b',
    '-a/b',
    'a-',
    'a..b',
    'a/_b',
    'a___b',
    'a._b',
    'nginx:',
    'nginx:-1',
    'nginx:.1',
    `app:${'x'.repeat(129)}`,
    'a:b:c',
    'nginx@',
    'nginx@sha256:',
    `nginx@${digest}0`,
    `nginx@${digest.toUpperCase()}`,
    `nginx@sha512:${hex}${hex}`,
    `nginx@${digest}@${digest}`,
    hex,
    `${hex}:latest`,
    `a.b/${'x'.repeat(252)}`,
    'foo_bar.com/app',
    'a.b:/c',
    'a.b:x/c',
    '-a.b/c',
    'a..b/c',
    '.a/c',
    '[::1/c',
    '[g::]/c',
    'https://ghcr.io/team/app',
    '日本/app',
    '\u212ahost.io/app',
    'h\u0130.io/app',
    'ghcr.io/',
    'docker.io/',
    ':1',
    `@${digest}`,
    'a b',
    `ghcr.io/$\{TEAM}/app`,
    `app:$\{TAG}`,
  ];
  for (const text of refused) {
    it(`${JSON.stringify(text.slice(0, 60))} is refused, and the message says what was expected`, () => {
      assert.throws(
        () => parseReference(text),
        (error) => error instanceof InvalidReference && error.message.includes('expected'),
      );
    });
  }

  it('refuses a repository name that carries a tag or a digest', () => {
    assert.throws(() => parseRepository('ghcr.io/team/app:1'), InvalidReference);
    assert.throws(() => parseRepository(`ghcr.io/team/app@${digest}`), InvalidReference);
  });

  it('has a tag and a digest that can be told from other text', () => {
    assert.ok(isTag('v1.2.3-rc.1_x') && !isTag('') && !isTag('a/b') && !isTag('.a') && !isTag('a\n'));
    assert.ok(isDigest(digest) && !isDigest(`${digest}\n`) && !isDigest(hex) && !isDigest(`sha256:${'G'.repeat(64)}`));
  });
});
