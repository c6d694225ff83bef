import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { importsOf } from '../../scripts/check-imports.mjs';

const root = fileURLToPath(new URL('../../src/workflows/rollout', import.meta.url));

/** The files that tell what happens to a delivery, in the order in which they are read: each to its end, then the next. */
const inOrder = [
  'delivery/deliver.ts',
  'delivery/merge.ts',
  'delivery/rollback.ts',
  'steps/propose.ts',
  'steps/take-step.ts',
  'lane-client.ts',
  'decisions.ts',
  'record.ts',
];
/** What leaves the workflow, to activities, to the log, to the audit log and to traces, and the answers to updates, which a delivery does not ask for. */
const notFollowed = ['steps/proxies.ts', '../audit.ts', '../progress.ts', '../operator-decision.ts', '../traced.ts'];
/** A rollback merges what it has proposed. */
const returns = ['delivery/rollback.ts calls delivery/merge.ts'];

describe('a delivery', () => {
  const importedBy = (file: string) =>
    importsOf(readFileSync(join(root, file), 'utf8'))
      .map(({ specifier }) => relative(root, join(root, file, '..', specifier)))
      .filter((imported) => !imported.startsWith('../../') && !imported.includes('@temporalio'))
      .filter((imported) => !notFollowed.includes(imported));

  it('is read in eight files, from deliver to its end', () => {
    const found = new Set(['delivery/deliver.ts']);
    for (const file of found) for (const imported of importedBy(file)) found.add(imported);
    assert.deepEqual([...found].sort(), [...inOrder].sort());
  });

  it('goes back to an earlier file once', () => {
    const back = inOrder.flatMap((file, index) =>
      importedBy(file)
        .filter((imported) => inOrder.indexOf(imported) <= index)
        .map((imported) => `${file} calls ${imported}`),
    );
    assert.deepEqual(back, returns);
  });
});
