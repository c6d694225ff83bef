import assert from 'node:assert/strict';
import { load, problemsIn } from './support.ts';

/** The problems of one build with these keys, without their place. */
function problems(...lines: readonly string[]): string[] {
  const text = `builds:\n${lines.map((line, index) => `  ${index === 0 ? '-' : ' '} ${line}\n`).join('')}`;
  return problemsIn(text).map((line) => line.replace(/^\S+ builds\[0\]\.?/, ''));
}

const local = 'source: { git: ./site }';
const image = 'image: ghcr.io/team/web';

describe('the problems of a build', () => {
  for (const [claim, lines, expected] of [
    ['no source', [image], /^source: expected .*found nothing/],
    ['no image', [local], /^image: expected .*found nothing/],
    [
      'a path of many folders, and one image',
      ['source: { git: ./site, path: services/* }', 'name: "*"', image],
      /^image: expected image with \*, because the path services\/\* means many folders/,
    ],
    [
      'a path of many folders, and one name',
      ['source: { git: ./site, path: services/* }', 'name: web', 'image: ghcr.io/team/*'],
      /^name: expected name with \*, because the path services\/\* means many folders/,
    ],
    [
      'one folder, and an image of many',
      [local, 'name: web', 'image: ghcr.io/team/*'],
      /^image: expected image without \*: source\.path is one folder/,
    ],
    [
      'one folder, and a name of many',
      [local, 'name: "*"', image],
      /^name: expected name without \*: source\.path is one folder/,
    ],
    [
      'two stars in an image',
      ['source: { git: ./site, path: services/* }', 'name: "*"', 'image: ghcr.io/*/*'],
      /^image: expected at most one \*, for the name of the folder/,
    ],
    [
      'a path of folders that are all called the same',
      ['source: { git: ./site, path: services/*/docker }', 'name: "*"', 'image: ghcr.io/team/*'],
      /^source\.path: expected \* in the last part of the path alone, .*: services\/\*\/docker may mean several/,
    ],
    [
      'a repository of GitHub, and no credentials for it',
      ['source: { git: team/site }', image],
      /^source\.git: expected .*forge\.github/,
    ],
    [
      'a password in a URL',
      ['source: { git: "https://ann:hunter2@git.example.org/site.git" }', image],
      /^source\.git: expected a remote without a password in it/,
    ],
    ['a path that leaves the repository', ['source: { git: ./site, path: ../etc }', image], /^source\.path: expected a folder/],
    [
      'an absolute path',
      ['source: { git: ./site, path: /web }', image],
      /^source\.path: expected a folder, without \/ at its ends/,
    ],
    [
      'two kinds of project',
      [local, image, 'project: { dockerfile: {}, airbyte-connector: {} }'],
      /^project: expected only one of/,
    ],
    [
      'two builders',
      [local, image, 'builder: { buildx: {}, buildkit: { address: "tcp://a:1" } }'],
      /^builder: expected only one of/,
    ],
    ['a builder of no kind', [local, image, 'builder: {}'], /^builder: expected .*buildx.*, found an empty map/],
    [
      'a builder without its address',
      [local, image, 'builder: { buildkit: {} }'],
      /^builder\.buildkit\.address: expected .*found nothing/,
    ],
    [
      'half a client certificate',
      [local, image, 'builder: { buildkit: { address: "tcp://a:1", cert: a.pem } }'],
      /^builder\.buildkit: expected cert and key, or neither of them/,
    ],
    ['a platform twice', [local, image, 'platforms: [linux/amd64, linux/amd64]'], /^platforms\[1\]: expected each platform once/],
    ['no platform', [local, image, 'platforms: []'], /^platforms: expected at least 1/],
    [
      'a platform that is none',
      [local, image, 'platforms: [amd64]'],
      /^platforms\[0\]: expected a platform such as linux\/amd64/,
    ],
    ['a tag of an unknown fact', [local, image, 'tag: "{day}-{commit}"'], /^tag: expected a tag with \{version\} or \{commit\}/],
    [
      'a tag that is the same for every commit',
      [local, image, 'tag: "{branch}"'],
      /^tag: .* such as \{branch\}-\{commit\}: .*built once and never again .*latest: always\), found '\{branch\}'/,
    ],
    ['a misspelt key', [local, image, 'platform: linux/amd64'], /platform.*platforms/],
  ] as const) {
    it(`${claim}`, () => {
      const found = problems(...lines);
      assert.match(found.join('\n'), expected);
      assert.equal(found.length, 1, found.join('\n'));
      assert.doesNotMatch(found.join('\n'), /hunter2/);
    });
  }

  it('a name that another build has', () => {
    const entry = `  - { ${local}, ${image} }\n`;
    assert.match(
      problemsIn(`builds:\n${entry}${entry}`).join('\n'),
      /builds\[1\]\.name: expected a name of its own, found 'web' again/,
    );
  });
});

describe('a build', () => {
  it('has its name from the image, and the usual project, builder, platform and tag', () => {
    const [build] = load(`builds:\n  - { ${local}, ${image} }\n`).builds;
    assert.ok(build);
    const { name, project, builder, parts, tag, latest, source, emulates } = build;
    assert.deepEqual(
      { name, project: project.kind, builder: builder.kind, parts, tag, latest, source, emulates },
      {
        ...{ name: 'web', project: 'dockerfile', builder: 'buildx', parts: [{ platform: 'linux/amd64' }], tag: '{commit}' },
        ...{ latest: 'never', source: { repository: './site', branch: 'main', path: '' }, emulates: false },
      },
    );
  });

  it('of connectors has both platforms, their folders, their version as tag and their test', () => {
    const said = 'name: "*", image: "docker.io/airbyte/*", project: { airbyte-connector: {} }';
    const [build] = load(`builds:\n  - { ${local}, ${said} }\n`).builds;
    assert.ok(build);
    assert.deepEqual(
      build.parts.map(({ platform }) => platform),
      ['linux/amd64', 'linux/arm64'],
    );
    assert.deepEqual([build.source.path, build.tag], ['airbyte-integrations/connectors/*', '{version}']);
    assert.ok(build.checks.some(({ kind }) => kind === 'smoke'));
  });
});
