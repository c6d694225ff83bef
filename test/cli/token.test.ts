import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { run } from '../../src/cli/main.ts';
import { shortestToken } from '../../src/domain/decision-proof.ts';
import { product } from '../../src/product.ts';

describe('landfall token', () => {
  async function operator(...words: readonly string[]) {
    const [out, err]: [string[], string[]] = [[], []];
    const exitCode = await run([...words], {
      loadKinds: async () => product,
      startLocalWork: () => assert.fail('no work'),
      startService: () => assert.fail('no service'),
      diagnoseOutside: () => assert.fail('nothing outside'),
      withRegistry: () => assert.fail('no registry'),
      reachApi: () => assert.fail('no API'),
      command: 'landfall',
      env: {},
      operator: 'nobody',
      print: (line) => out.push(line),
      warn: (line) => err.push(line),
    });
    return { exitCode, out, err: err.join('\n') };
  }

  it('prints a new token for the operator, and its hash for the environment of Landfall', async () => {
    const { exitCode, out, err } = await operator('token', 'Ann Bee');
    assert.equal(exitCode, 0);
    const [, token = ''] = /^LANDFALL_TOKEN=(landfall_[\w-]{43})$/.exec(out[0] ?? '') ?? [];
    assert.ok(token.length >= shortestToken);
    assert.equal(out[1], `ANN_BEE_TOKEN_HASH=sha256:${createHash('sha256').update(token).digest('hex')}`);
    assert.equal(out.length, 2);
    assert.match(err, /operators: \[\{ name: Ann Bee, token: env:ANN_BEE_TOKEN_HASH, roles: \[operate, approve\] \}\]/);
    assert.ok(!err.includes(token));
  });

  it('makes another one each time', async () => {
    const [first, second] = [await operator('token', '--json'), await operator('token', '--json')];
    const parsed = [first, second].map(({ out }) => JSON.parse(out.join('')) as { token: string; hash: string });
    assert.equal(new Set(parsed.flatMap(({ token, hash }) => [token, hash])).size, 4);
  });

  it('refuses a name that no variable can be named after', async () => {
    const { exitCode, err } = await operator('token', '7 of 9');
    assert.equal(exitCode, 2);
    assert.match(err, /beginning with a letter, found '7 of 9'/);
  });
});
