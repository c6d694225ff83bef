import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { starterConfiguration } from '../../src/config/starter.ts';
import { freePort } from '../support/ports.ts';
import { landfall } from './command.ts';

describe('the landfall command', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-cli-'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('config check says how many services are fine, and exits 0', async () => {
    await writeFile(join(folder, 'landfall.yaml'), starterConfiguration());
    assert.deepEqual(await landfall(['config', 'check'], { cwd: folder }), {
      exitCode: 0,
      stdout: 'landfall.yaml: 0 services, fine\n',
      stderr: '',
    });
  });

  it('config check prints one line per problem, and exits 1', async () => {
    await writeFile(join(folder, 'wrong.yaml'), 'log: { level: loud }\nservices:\n  - image: a/b\n    merge: auto\n');
    const { exitCode, stdout } = await landfall(['config', 'check', 'wrong.yaml'], { cwd: folder });
    assert.equal(exitCode, 1);
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.replace(/expected.*/, 'expected')),
      ['wrong.yaml:1: log.level: expected', 'wrong.yaml:4: services[0].merge: expected'],
    );
  });

  it('config check finds secrets in the environment', async () => {
    await writeFile(join(folder, 'secret.yaml'), 'receivers: { distribution: { token: env:HOOK } }');
    assert.equal((await landfall(['config', 'check', 'secret.yaml'], { cwd: folder })).exitCode, 1);
    assert.equal((await landfall(['config', 'check', 'secret.yaml'], { cwd: folder, env: { HOOK: 'x' } })).exitCode, 0);
  });

  it('config schema prints the JSON Schema', async () => {
    const { exitCode, stdout } = await landfall(['config', 'schema'], { cwd: folder });
    assert.equal(exitCode, 0);
    assert.equal((JSON.parse(stdout) as { title: string }).title, 'landfall.yaml');
  });

  for (const words of [
    ['nonsense'],
    ['show'],
    ['list', '--limit', '0'],
    ['list', '--status', 'odd'],
    ['skip', 'app', 'scan'],
    ['trigger', 'UPPER/case'],
    ['show', "a'b"],
    [],
  ]) {
    it(`exits 2 and says what was wrong for: landfall ${words.join(' ')}`, async () => {
      // An address where nothing listens: what is only wrong usage must be found out before, or fail otherwise.
      const env = { TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}` };
      const { exitCode, stderr } = await landfall(words, { cwd: folder, env });
      assert.equal(exitCode, 2);
      assert.notEqual(stderr, '');
    });
  }

  it('help exits 0', async () => {
    const { exitCode, stdout } = await landfall(['--help'], { cwd: folder });
    assert.equal(exitCode, 0);
    assert.match(stdout, /trigger/);
  });

  it('says where it looked and what to do when Temporal does not answer, within 10 s', async () => {
    const env = { TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}` };
    const began = Date.now();
    const { exitCode, stderr } = await landfall(['list'], { cwd: folder, env });
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /Temporal at 127\.0\.0\.1:\d+ \(TEMPORAL_ADDRESS\) did not answer within 5 s\. Start Landfall \(npm start\)/,
    );
    assert.ok(Date.now() - began < 10_000);
  });
});
