import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { checkWords, nameProblems, spellingProblems, typesOf, wordsOf, wordsOfName } from '../../scripts/check-words.mjs';

const glossary = `# Words

| word | what it is |
| --- | --- |
| global hold | no rollout of any service changes what runs |

- Temporal: workflow, activity,
  signal
- programming: options
`;

const problemsOf = (...texts: string[]) =>
  nameProblems(new Map(texts.map((text, index) => [`src/${index}.ts`, text])), wordsOf(glossary)).map(
    ({ file, line, message }) => `${file}:${line}: ${message}`,
  );

describe('the words of the source tree', () => {
  it('hold in this tree', () => {
    assert.deepEqual(checkWords(fileURLToPath(new URL('../..', import.meta.url))), []);
  });

  it('are those of the glossary, in its table and in its lists', () => {
    assert.deepEqual(
      [...wordsOf(glossary)].sort(),
      ['activity', 'global', 'hold', 'options', 'signal', 'word', 'workflow'].sort(),
    );
  });

  it('let pass a type whose words are there, in the plural too', () => {
    assert.deepEqual(problemsOf('export interface GlobalHoldSignals {}\ntype WorkflowOptions = string;'), []);
  });

  it('refuse a word that is not there, at its line', () => {
    const [problem, ...more] = problemsOf('\nexport interface HoldDesk {}');
    assert.equal(
      problem,
      "src/0.ts:2: 'desk' in the type HoldDesk is not in docs/glossary.md: use its word for it, or add one line there",
    );
    assert.deepEqual(more, []);
  });

  it('refuse a second type of the same name', () => {
    assert.deepEqual(problemsOf('interface Hold {}', 'export class Hold {}'), [
      'src/1.ts:1: the type Hold is in src/0.ts too: one name means one thing',
    ]);
  });

  it('see types of every sort, and nothing that only looks like one', () => {
    const text =
      "export type A = 1;\nabstract class B {}\n  type Inner = 2;\nconst type = 'type C';\nimport type { D } from './d.ts';";
    assert.deepEqual(typesOf(text), [
      { name: 'A', line: 1 },
      { name: 'B', line: 2 },
    ]);
  });

  it('take a name apart, with abbreviations', () => {
    assert.deepEqual(wordsOfName('HTTPProbePlan'), ['http', 'probe', 'plan']);
    assert.deepEqual(wordsOfName('GitHubOIDCToken'), ['git', 'hub', 'oidc', 'token']);
  });

  for (const text of ['a roll-back of web', 'Roll-Backs', 'the data base']) {
    it(`refuse the spelling: ${text}`, () => {
      assert.equal(spellingProblems('README.md', `fine\n${text}`)[0]?.line, 2);
    });
  }

  it('let pass the settled spelling', () => {
    assert.deepEqual(spellingProblems('README.md', 'roll back, rollback, database'), []);
  });
});
