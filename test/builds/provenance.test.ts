import assert from 'node:assert/strict';
import { isNative, nativeOf } from '../../src/builds/builders/platforms.ts';
import { emulatedIn } from '../../src/builds/provenance.ts';

const amd64 = ['linux/amd64', 'linux/386'];
const run = (words: string) => ({ Op: { exec: { meta: { args: ['/bin/sh', '-c', words] } } } });
const onArm = { platform: { Architecture: 'arm64', OS: 'linux' } };
const onAmd = { platform: { Architecture: 'amd64', OS: 'linux' } };
const steps = [
  { id: 'step0', op: { Op: { source: { identifier: 'docker-image://docker.io/library/node' } }, ...onArm } },
  { id: 'step1', op: { ...run('npm ci'), ...onArm } },
  { id: 'step2', op: { ...run('npm test'), ...onAmd } },
  { id: 'step3', op: { ...run('npm ci'), ...onArm } },
  { id: 'step4', op: { Op: { file: { actions: [] } }, ...onArm } },
  { id: 'step5', inputs: ['step4:0'], op: { Op: {} } },
];
const other = { predicateType: 'https://cyclonedx.org/bom', predicate: { bomFormat: 'CycloneDX' } };
const version1 = (llbDefinition: unknown) => ({
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: { buildDefinition: { internalParameters: { buildConfig: { llbDefinition } } } },
});
const version02 = (llbDefinition: unknown) => ({
  predicateType: 'https://slsa.dev/provenance/v0.2',
  predicate: { buildConfig: { llbDefinition } },
});

describe('what was run by emulation', () => {
  it('is told by provenance of both versions: programs alone, each once', () => {
    for (const shape of [version1, version02]) {
      assert.deepEqual(emulatedIn([other, shape(steps)], amd64), ['/bin/sh -c npm ci']);
      assert.deepEqual(emulatedIn([shape(steps)], ['linux/arm64']), ['/bin/sh -c npm test']);
      assert.deepEqual(emulatedIn([shape([])], amd64), []);
    }
  });

  it('is not known where nothing tells it', () => {
    for (const statements of [
      [],
      [other],
      [version1(undefined)],
      [version02('steps')],
      [{ ...version1(steps), predicate: null }],
    ])
      assert.equal(emulatedIn(statements, amd64), undefined, JSON.stringify(statements));
  });

  it('has the variant of the platform, and one line of what was run', () => {
    const platform = { os: 'linux', architecture: 'arm', variant: 'v6' };
    const step = { op: { exec: { meta: { args: ['/bin/sh', '-c', `set -e\n${'make all '.repeat(40)}`] } }, platform } };
    const [said = '', ...more] = emulatedIn([version1([step])], ['linux/arm/v7']) ?? [];
    assert.match(said, /^\/bin\/sh -c set -e make all make/);
    assert.deepEqual([said.length, more], [120, []]);
    assert.deepEqual(emulatedIn([version1([step])], ['linux/arm/v6']), []);
    const wordless = { op: { exec: {}, platform } };
    assert.deepEqual(emulatedIn([version1([wordless])], amd64), ['a program']);
  });
});

describe('the platforms that a machine runs by itself', () => {
  for (const [what, listed, native] of [
    ['nothing where none is listed', [], []],
    [
      'its own, its variants, and those of 32 bits; not what it emulates',
      ['linux/amd64', 'linux/amd64/v2', 'linux/amd64/v3', 'linux/arm64', 'linux/386'],
      ['linux/amd64', 'linux/amd64/v2', 'linux/amd64/v3', 'linux/386'],
    ],
    ['none of 32 bits on ARM, where many cannot', ['linux/arm64', 'linux/amd64', 'linux/arm/v7'], ['linux/arm64']],
    ['that of a variant which is listed first', ['linux/arm/v7', 'linux/arm/v6'], ['linux/arm', 'linux/arm/v7', 'linux/arm/v6']],
  ] as const) {
    it(`are ${what}`, () => assert.deepEqual(nativeOf(listed), native));
  }

  it('stand for their variants, and for nothing whose name only begins alike', () => {
    for (const [platform, expected] of [
      ['linux/amd64', true],
      ['linux/amd64/v3', true],
      ['linux/386', true],
      ['linux/arm64', false],
      ['linux/amd', false],
      ['windows/amd64', false],
    ] as const)
      assert.equal(isNative(platform, amd64), expected, platform);
    assert.equal(isNative('linux/arm64', ['linux/arm']), false);
  });
});
