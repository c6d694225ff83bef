import assert from 'node:assert/strict';
import { toldChanges } from '../../src/domain/other-changes.ts';

describe('changes besides the image, in one line', () => {
  const changes = Array.from({ length: 20 }, (_, number) => `web: environment.${number} changed`);
  const told = { commits: [], fingerprint: 'f' };

  it('shows eight, and counts all the others: those that it was not given, too', () => {
    const shown = changes.slice(0, 8).join('; ');
    assert.equal(toldChanges({ ...told, changes: changes.slice(0, 8) }), shown);
    assert.equal(toldChanges({ ...told, changes }), `${shown} and 12 more`);
    assert.equal(toldChanges({ ...told, changes, more: 5 }), `${shown} and 17 more`);
  });
});
