// Runs on a core of its own: each of its texts has 200 ms of the processor, which a busy machine stretches.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { Refusal } from '../../src/domain/failures.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import { jsonIn } from '../../src/domain/json.ts';
import { parseYaml } from '../../src/domain/manifest-edit/yaml-file.ts';
import { parseJson } from '../../src/http/body.ts';
import { distrustOf } from '../../src/http/certificate-chain.ts';
import { Problem } from '../../src/http/problem.ts';
import { editManifest } from '../../src/platform/manifest-editor/index.ts';
import { parseImageConfig, parseManifest } from '../../src/platform/registry/manifest.ts';
import { assertWithin, longestPause } from '../support/processor-time.ts';

const longestPauseMs = 200;

function corpus(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`./${name}.json`, import.meta.url), 'utf8'));
}

/** @returns what it gives or throws */
async function timely<Result>(
  what: string,
  act: () => Result | Promise<Result>,
): Promise<{ result: Result } | { error: unknown }> {
  let outcome: { result: Result } | { error: unknown } = { error: undefined };
  const pause = await longestPause(async () => {
    try {
      outcome = { result: await act() };
    } catch (error) {
      outcome = { error };
    }
  });
  assertWithin(longestPauseMs, pause, `${what} kept the event loop`);
  return outcome;
}

describe('JSONTestSuite', () => {
  interface Repeated {
    readonly repeat: string;
    readonly times: number;
    readonly then?: string;
  }
  const texts = Object.entries(corpus('json-test-suite') as Record<string, string | Repeated>).map(([name, text]) => {
    const whole = typeof text === 'string' ? text : text.repeat.repeat(text.times) + (text.then ?? '');
    return { name, bytes: Buffer.from(whole) };
  });

  it(`has the verdicts of all ${texts.length} texts from the reader of bodies, and what it does not take is the sender's fault`, async () => {
    assert.equal(texts.length, 318);
    for (const { name, bytes } of texts) {
      const outcome = await timely(name, () => parseJson(bytes));
      const isTaken = 'result' in outcome;
      if (!name.startsWith('i_')) assert.equal(isTaken, name.startsWith('y_'), name);
      if (!isTaken) assert.ok(outcome.error instanceof Problem && outcome.error.status === 400, `${name}: ${outcome.error}`);
      if (isTaken) assert.deepEqual(jsonIn(bytes.toString().replace(/^\uFEFF/, '')), outcome.result, name);
    }
  });

  it('is no image, whatever the text is', async () => {
    for (const { name, bytes } of texts) {
      const reads: readonly (() => unknown)[] = [() => parseManifest(bytes, null, 'it'), () => parseImageConfig(bytes, 'it')];
      for (const read of reads) {
        const outcome = await timely(name, read);
        const isRefused = 'error' in outcome && outcome.error instanceof Refusal && outcome.error.type === 'NotAnImage';
        // An object without anything that is known is a configuration of an image without anything.
        assert.ok(
          isRefused || ('result' in outcome && bytes.toString().trim().startsWith('{')),
          `${name}: ${JSON.stringify(outcome)}`,
        );
      }
    }
  });
});

describe('yaml-test-suite', () => {
  interface Case {
    readonly name: string;
    readonly yaml: string;
    /** What it says, one document after the other. Absent: something that JSON cannot say. */
    readonly json?: string;
    readonly fails?: boolean;
  }
  const cases = Object.entries(corpus('yaml-test-suite') as Record<string, Case>);
  /** Where the reader differs, and that it does no harm: nothing that manifests have, or refused, or nothing in it to be changed. */
  const differing: Readonly<Record<string, string>> = {
    '2JQS': 'refuses a map with two empty keys',
    '2XXW': 'reads a !!set as a set',
    '565N': 'reads !!binary as bytes',
    '9MMA': 'takes a directive without a document',
    HWV9: 'reads an end without a document as an empty one',
    J7PZ: 'reads an !!omap as a map',
    M7A3: 'reads two ends of a document as an empty one between them',
    QT73: 'reads an end without a document as an empty one',
    SF5V: 'takes a directive twice',
  };

  it(`has the verdicts of all ${cases.length} texts from the reader of manifests, but for ${Object.keys(differing).length} that are named`, async () => {
    assert.equal(cases.length, 402);
    const found: string[] = [];
    for (const [id, { yaml, json, fails = false }] of cases) {
      const outcome = await timely(id, () =>
        parseYaml(yaml, 'file').map((document) => document.toJS({ mapAsMap: json === undefined })),
      );
      if ('error' in outcome)
        assert.ok(outcome.error instanceof Refusal && outcome.error.type === 'EditRefused', `${id}: ${outcome.error}`);
      const isRight =
        'error' in outcome
          ? fails
          : !fails && (json === undefined || isDeepStrictEqual(asJson(outcome.result), documentsIn(json)));
      if (!isRight) found.push(id);
    }
    assert.deepEqual(found.sort(), Object.keys(differing).sort());
  });

  it('is edited or refused as a manifest, whatever the text is, and never fails in another way', async () => {
    const image = {
      repository: 'ghcr.io/team/app' as Repository,
      tag: 'v2' as Tag,
      digest: `sha256:${'0a'.repeat(32)}` as Digest,
    };
    for (const [id, { yaml }] of cases) {
      for (const text of [yaml, `services:\n  web:\n    image: ghcr.io/team/app:v1\n${yaml}`]) {
        const target = { kind: 'compose', services: ['web'] } as const;
        const plan = { file: 'compose.yml', target, pin: 'tag@digest', value: 'reference' } as const;
        const outcome = await timely(id, () => editManifest(text, plan, image));
        if ('error' in outcome) assert.ok(outcome.error instanceof Refusal, `${id}: ${outcome.error}`);
        // One place, and nothing beside it.
        else assert.equal(outcome.result.text, text.replace('app:v1', `app:v2@${image.digest}`), id);
      }
    }
  });

  function asJson(documents: readonly unknown[]): unknown {
    return JSON.parse(JSON.stringify(documents));
  }

  /** JSON has no sign between documents: each ends with the line after which it is one. */
  function documentsIn(text: string): unknown[] {
    const documents: unknown[] = [];
    let part = '';
    for (const line of text.split('\n')) {
      part += `${line}\n`;
      const value = jsonIn(part);
      if (value === undefined) continue;
      documents.push(value);
      part = '';
    }
    return documents;
  }
});

describe("NIST's tests of certificate paths", () => {
  const { tests, certificates } = corpus('nist-pkits') as {
    readonly tests: readonly { readonly name: string; readonly path: readonly string[]; readonly valid: boolean }[];
    readonly certificates: Readonly<Record<string, string>>;
  };
  /** Valid, and not taken: of limits on names and policies nobody here knows more than that they are limits, and DSA is out of use. */
  const refused: readonly (readonly [tests: RegExp, because: RegExp])[] = [
    [/^4\.1\.4 /, /^its key is too short$/],
    [/^4\.1\.5 /, /^its key cannot be read$/],
    [/^4\.6\.1[57] /, /longer than an authority in it allows/],
    [/^4\.(?:9|10|11|12|13)\./, /sets conditions that are not known here/],
  ];
  /** Not valid, and taken: they need a list of what was revoked (it is not asked for), or a verifier who asks for a policy (nobody does). */
  const taken = /^4\.(?:5\.[257]|7\.[45]|8\.\d+) /;

  it(`have the verdicts of all ${tests.length} paths, and where they differ it is on the safe side`, async () => {
    assert.equal(tests.length, 183);
    const now = new Date('2026-01-01');
    let same = 0;
    for (const { name, path, valid } of tests) {
      const chain = path.map((certificate) => new X509Certificate(Buffer.from(certificates[certificate] ?? '', 'base64')));
      const [root, ...rest] = chain;
      const leaf = rest.pop() ?? root;
      assert.ok(root !== undefined && leaf !== undefined);
      const outcome = await timely(name, () => distrustOf(leaf, rest, [root], now));
      assert.ok('result' in outcome, `${name}: ${'error' in outcome && outcome.error}`);
      const reason = outcome.result;
      if ((reason === undefined) === valid) same += 1;
      else if (reason === undefined) assert.match(name, taken);
      else
        assert.ok(
          refused.some(([which, because]) => which.test(name) && because.test(reason)),
          `${name}: ${reason}`,
        );
    }
    // Those of limits on names and policies are the most of them.
    assert.equal(same, 124);
  });
});
