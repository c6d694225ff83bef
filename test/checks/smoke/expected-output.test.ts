import assert from 'node:assert/strict';
import { type JsonMembers, printsObject } from '../../../src/checks/smoke/expected-output.ts';

describe('the expected output of a run', () => {
  const spec = { type: 'SPEC' };
  const table: readonly (readonly [claim: string, output: string, expected: JsonMembers, is: boolean])[] = [
    ['is an object on a line of its own', 'begins\r\n{"type":"SPEC"}\r\nends', {}, true],
    ['is an object with these members, whatever else it has', ' {"spec":{},"type":"SPEC"}', spec, true],
    ['has all of them', '{"type":"SPEC","ok":true,"n":1}', { ...spec, ok: true, n: 1 }, true],
    ['has all of them in the same object', '{"type":"SPEC"}\n{"n":1}', { ...spec, n: 1 }, false],
    ['has no other value', '{"type":"LOG"}\n{"type":["SPEC"]}\n{"Type":"SPEC"}', spec, false],
    ['has no other type', '{"n":"1"}', { n: 1 }, false],
    ['is no list, text or number', '[{"type":"SPEC"}]\n"SPEC"\n1\nnull', {}, false],
    ['is no part of a line', 'INFO {"type":"SPEC"}', {}, false],
    ['does not go over several lines', '{\n"type": "SPEC"\n}', {}, false],
    ['is nothing in an empty output', '', {}, false],
    ['is not nested deeper than anybody needs', `{"type":"SPEC","x":${'['.repeat(65)}${']'.repeat(65)}}`, spec, false],
    ['does not have more members than anybody needs', `{"type":"SPEC","x":[${'[],'.repeat(200_000)}0]}`, spec, false],
    ['has members of its own', '{}', { constructor: 'Object' }, false],
  ];
  for (const [claim, output, expected, is] of table) it(claim, () => assert.equal(printsObject(output, expected), is));
});
