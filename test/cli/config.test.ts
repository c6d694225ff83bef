import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configurationJsonSchema } from '../../src/config/schema.ts';
import { starterConfiguration } from '../../src/config/starter.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { product } from '../../src/product.ts';
import { testKey } from '../support/temporal.ts';
import { landfall, landfallHere, landfallUnread } from './command.ts';

describe('the landfall command', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-cli-'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('config check says how many services are fine, and exits 0', async () => {
    await writeFile(join(folder, 'landfall.yaml'), starterConfiguration(product));
    assert.deepEqual(await landfall(['config', 'check'], { cwd: folder }), {
      exitCode: 0,
      stdout: 'landfall.yaml: 0 services, fine\n',
      stderr: '',
    });
  });

  it('the starter names every section of the schema, and what is commented out in it is right too', async () => {
    const { properties } = configurationJsonSchema(product) as { properties: Record<string, unknown> };
    for (const section of Object.keys(properties))
      assert.match(starterConfiguration(product), new RegExp(`^(?:# )?${section}:`, 'm'), section);
    const uncommented = starterConfiguration(product)
      .replace(/^services: \[\]\n/m, '')
      .replace(/^( *)# ((?:\w+:| {2}\S).*)$/gm, '$1$2');
    await writeFile(join(folder, 'uncommented.yaml'), uncommented);
    const { stdout } = await landfall(['config', 'check', '--no-secrets', 'uncommented.yaml'], { cwd: folder });
    assert.equal(stdout, 'uncommented.yaml: 1 service, fine\n');
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

  it('config check warns of a listener for the world without TLS or a proxy, and of no other one', async () => {
    const warned = async (listen: string): Promise<string> => {
      await writeFile(join(folder, 'listen.yaml'), `receivers: { github: { secrets: [env:HOOK] } }\nlisten: ${listen}\n`);
      const { exitCode, stdout, stderr } = await landfallHere(['config', 'check', '--no-secrets', join(folder, 'listen.yaml')], {
        cwd: folder,
      });
      assert.deepEqual(
        { exitCode, stdout: stdout.replace(`${folder}/`, '') },
        { exitCode: 0, stdout: 'listen.yaml: 0 services, fine\n' },
      );
      return stderr.replace(`${folder}/`, '');
    };
    for (const open of ['{}', '{ webhooks: 0.0.0.0:80 }', '{ webhooks: "[::]:80" }'])
      assert.match(
        await warned(open),
        /^warning: listen\.yaml:2: listen: takes webhooks on every address .*set tls, or trustedProxies/,
      );
    for (const meant of [
      '{ webhooks: 127.0.0.1:80 }',
      '{ webhooks: 10.1.2.3:80 }',
      '{ trustedProxies: [10.0.0.2] }',
      '{ tls: certificates }',
    ]) {
      assert.equal(await warned(meant), '');
    }
  });

  it('config check takes the file as every other command does: by --config, and from LANDFALL_CONFIG', async () => {
    await writeFile(join(folder, 'other.yaml'), 'services: []\n');
    const stdout = 'other.yaml: 0 services, fine\n';
    assert.equal((await landfall(['config', 'check', '-c', 'other.yaml'], { cwd: folder })).stdout, stdout);
    assert.equal((await landfall(['config', 'check'], { cwd: folder, env: { LANDFALL_CONFIG: 'other.yaml' } })).stdout, stdout);
    const env = { LANDFALL_CONFIG: 'absent.yaml' };
    assert.match((await landfall(['trigger', 'a/b'], { cwd: folder, env })).stderr, /^absent\.yaml:1: /);
  });

  it('config check --no-secrets asks for no secret, as CI has none', async () => {
    await writeFile(join(folder, 'secret-ci.yaml'), 'receivers: { distribution: { token: env:HOOK } }');
    assert.equal((await landfall(['config', 'check', '--no-secrets', 'secret-ci.yaml'], { cwd: folder })).exitCode, 0);
  });

  it('echoes nothing of a file that steers the terminal', async () => {
    await writeFile(join(folder, 'steering.yaml'), 'log: { level: "\\e[2Jquiet\\u202e\\a" }\n');
    const { stdout } = await landfall(['config', 'check', 'steering.yaml'], { cwd: folder });
    assert.match(stdout, /found 'quiet/);
    assert.doesNotMatch(stdout.trimEnd(), /[\p{Cc}\p{Cf}]/u);
  });

  it('ends quietly where its reader has read enough', async () => {
    assert.deepEqual(await landfallUnread(['config', 'schema'], { cwd: folder }), { exitCode: 0, stderr: '' });
  });

  it('never asks a Temporal that it was not told about', async () => {
    const { exitCode, stderr } = await landfall(['list'], { cwd: folder });
    assert.equal(exitCode, 3);
    assert.equal(
      stderr,
      `Landfall does not run from ${join(folder, 'data')}: start it (npm start), or say where Temporal is: TEMPORAL_ADDRESS=HOST:PORT\n`,
    );
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
      const env = { TEMPORAL_ADDRESS: `127.0.0.1:${await reservePort()}` };
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
    const env = { TEMPORAL_ADDRESS: `127.0.0.1:${await reservePort()}`, LANDFALL_KEY: testKey };
    const began = Date.now();
    const { exitCode, stderr } = await landfall(['list'], { cwd: folder, env });
    assert.equal(exitCode, 3);
    assert.match(
      stderr,
      /Temporal at 127\.0\.0\.1:\d+ \(TEMPORAL_ADDRESS\) did not answer within 5 s\. Start Landfall \(npm start\)/,
    );
    assert.ok(Date.now() - began < 10_000);
  });
});
