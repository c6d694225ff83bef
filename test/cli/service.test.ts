import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Diagnosis } from '../../src/domain/diagnosis.ts';
import type { ImageExplanation, Overview } from '../../src/operations/index.ts';
import { ensureDocker } from '../support/docker.ts';
import { token } from '../support/github/server.ts';
import { healthyImage } from '../support/production.ts';
import { eventually } from '../support/wait.ts';
import { startWorld, type World } from '../support/world.ts';
import { assertFits, landfallHere, type Ran } from './command.ts';

describe('the command against a running service', function () {
  this.timeout(180_000);
  let world: World;
  let digest: string;

  before(async () => {
    world = await startWorld({ forge: 'git', production: await ensureDocker(), env: { LANDFALL_DOCTOR: 'on' } });
    await world.start();
    digest = await world.push('latest', healthyImage('1.0.0'));
    await world.until('latest', digest as Parameters<World['until']>[1], 'delivered');
  });
  after(() => world?.stop());

  const command = (...words: readonly string[]): Promise<Ran> => {
    const env = { ...world.temporal.env, GITHUB_TOKEN: token, PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '' };
    return landfallHere(words, { cwd: world.folder, env });
  };

  /** What a command prints as JSON, once it fits the schema that is promised for it. */
  async function json(words: readonly string[], exitCode = 0): Promise<unknown> {
    const [name = ''] = words;
    const ran = await command(...words, '--json');
    assert.equal(ran.exitCode, exitCode, ran.stderr);
    const said: unknown[] = name === 'audit' ? linesOf(ran.stdout) : [JSON.parse(ran.stdout)];
    for (const one of said) assertFits(name, one);
    return name === 'audit' ? said : said[0];
  }

  function linesOf(text: string): unknown[] {
    return text
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
  }

  it('says what runs, as people read it and as programs do', async () => {
    const { stdout, exitCode } = await command('status');
    assert.equal(exitCode, 0);
    const short = digest.slice('sha256:'.length, 'sha256:'.length + 12);
    assert.match(stdout, new RegExp(`^web +production +latest ${short} +\\S+ ago +healthy$`, 'm'));
    assert.match(stdout, /^Nothing is under way, and nothing waits for a person\.$/m);
    const { services } = (await json(['status'])) as Overview;
    assert.deepEqual(
      services.map(({ service, stages }) => [service, stages[0]?.running?.digest]),
      [['web', digest]],
    );
  });

  for (const words of [
    ['list'],
    ['show', 'web'],
    ['logs', 'web'],
    ['lane', 'web'],
    ['stats'],
    ['audit', '--since', '1h'],
    ['version'],
    ['token', 'ann'],
    ['hold', 'web', '--reason', 'a fair'],
    ['release', 'web'],
    ['hold', '--all', '--reason', 'a flood'],
    ['release', '--all'],
    ['quarantine', 'web', `sha256:${'e'.repeat(64)}`],
    ['unquarantine', 'web', `sha256:${'e'.repeat(64)}`],
  ]) {
    it(`${words.join(' ').slice(0, 40)} prints JSON that fits its schema`, async () => {
      await json(words);
    });
  }

  it('says what a push would come to, and why', async () => {
    const again = (await json(['why', `${world.host}/team/web`])) as ImageExplanation;
    assert.equal(again.digest, digest);
    assert.deepEqual(
      again.services.map(({ service, verdict }) => [service, verdict]),
      [['web', 'refused']],
    );
    assert.match(again.services[0]?.text ?? '', /already ended delivered/);
    await command('hold', 'web', '--reason', 'a fair');
    const other = `${world.host}/team/web:latest@sha256:${'c'.repeat(64)}`;
    const held = await command('why', other);
    assert.match(
      held.stdout,
      /^web \(follows latest\): yes, it would be rolled out: verify, .*production\n {2}production +held by .*: a fair$/m,
    );
    await command('release', 'web');
    assert.match(
      (await command('why', `${world.host}/team/web:next`)).stdout,
      /^web \(follows latest\): no, next is not what it follows$/m,
    );
    assert.match((await command('why', 'ghcr.io/else/app')).stdout, /nobody follows it\nwhat is followed:\n {2}web: /);
  });

  it('brings a second image there and back, and waits for both', async () => {
    const next = await world.push('latest', healthyImage('1.1.0'));
    await world.until('latest', next, 'delivered');
    const { exitCode, stdout, stderr } = await command('rollback', 'web', 'production', '--reason', 'slow', '--wait');
    assert.equal(exitCode, 0, `${stdout}${stderr}`);
    assert.match(stdout, /^web: production is being rolled back .*\n {2}from \S+\n {2}to \S+\n/);
    assert.match(stdout, /rollback passed/);
    assert.match((await command('show', 'rollback:web', '--watch')).stdout, /^ +\d+\.\d s {2}web +/);
    const [started] = (await json(['trigger', `${world.host}/team/web@${digest}`])) as [{ rollouts: { rollout: string }[] }];
    assert.equal(started.rollouts.length, 1);
    await eventually('its end', async () => /^status +(?:unchanged|delivered)/m.test((await command('show', 'web')).stdout));
  });

  it('answers what whoever is on call asks first, each by the one command of docs/five-questions.md', async () => {
    const text = readFileSync(new URL('../../docs/five-questions.md', import.meta.url), 'utf8');
    const [blocked, approved, tag, then, back, ...more] = [...text.matchAll(/^```\nlandfall (.*)\n```$/gm)].map(([, said]) =>
      (said ?? '').replace('registry.example.com', world.host),
    );
    assert.deepEqual(more, []);
    const next = await world.push('latest', healthyImage('1.2.0'));
    await world.until('latest', next, 'delivered');
    const ranFrom = new Date().toISOString();
    const ask = async (line = ''): Promise<string> => {
      const words = [...line.replace('2026-01-30T15:00', new Date().toISOString()).matchAll(/"([^"]*)"|(\S+)/g)].map(
        ([, quoted, word]) => quoted ?? word ?? '',
      );
      const { exitCode, stdout, stderr } = await command(...words);
      assert.equal(exitCode, 0, `${line}: ${stdout}${stderr}`);
      return stdout;
    };
    const short = next.slice('sha256:'.length, 'sha256:'.length + 12);
    assert.match(await ask(blocked), /nothing waits for a person/);
    assert.match(await ask(approved), new RegExp(`^digest +${next}$`, 'm'));
    assert.match(await ask(tag), /^web \(follows latest\): no, 1\.5\.0 is not what it follows$/m);
    assert.match(await ask(then), new RegExp(`^production +latest ${short} +\\d{4}-`, 'm'));
    assert.match(
      await ask(then?.replace(/--at .*/, '--at 2020-01-01T00:00:00Z')),
      /^production +nothing that Landfall knows of/m,
    );
    assert.match(await ask(`${back} --wait`), /^web: production is being rolled back .*\n {2}from \S+\n {2}to \S+\n/);
    assert.match(await ask(then?.replace(/--at .*/, `--at ${ranFrom}`)), new RegExp(`^production +latest ${short} `, 'm'));
  });

  it('doctor finds everything there, and what is not as it should be with what to do about it; so does the start', async () => {
    const found = (await json(['doctor'])) as Diagnosis[];
    const wrong = found.filter(({ verdict }) => verdict !== 'fine').map(({ what }) => what);
    // The database of the tests is not brought up to date.
    assert.deepEqual(wrong, ['scan'], JSON.stringify(found, null, 2));
    const asked = found.map(({ what }) => what).join('\n');
    for (const what of [
      'Temporal',
      'workers',
      'image ',
      'clock',
      'Docker',
      'docker-compose.yml in ',
      'web, stage production',
      'disk of data',
    ])
      assert.ok(asked.includes(what), asked);
    await eventually('it to be said at the start', async () =>
      /"what":"scan".*vulnerability database is of/.test(world.landfall().output()),
    );
    await writeFile(join(world.production.directory, 'docker-compose.yml'), 'services: {}\n');
    const dirty = await command('doctor');
    assert.equal(dirty.exitCode, 1);
    assert.match(dirty.stdout, /^✘ {2}web, stage production +problem: expected no uncommitted changes .* 'git restore'$/m);
    const checked = await command('config', 'check', '--connect', '--no-secrets');
    assert.equal(checked.exitCode, 1);
    assert.match(checked.stdout, /1 service, fine\n✔ {2}image /);
    execFileSync('git', ['-C', world.production.directory, 'checkout', '--', '.']);
  });

  it('needs no more of the file than it uses', async () => {
    const file = join(world.folder, 'landfall.yaml');
    await writeFile(join(world.folder, 'broken.yaml'), 'services: [{ image: UPPER }]\ntrivvy: {}\n');
    for (const words of [
      ['list'],
      ['status'],
      ['show', 'web'],
      ['lane', 'web'],
      ['hold', '--all', '--reason', 'x'],
      ['release', '--all'],
    ]) {
      const { exitCode, stderr } = await command(...words, '--config', join(world.folder, 'broken.yaml'));
      assert.equal(exitCode, 0, `${words.join(' ')}: ${stderr}`);
    }
    assert.match(
      (await command('status', '--config', join(world.folder, 'broken.yaml'))).stderr,
      /broken\.yaml cannot be used, so services/,
    );
    assert.ok(file);
  });

  it('says so where no worker is there, instead of nothing', async () => {
    await world.landfall().stop();
    const doctor = (await json(['doctor'], 1)) as Diagnosis[];
    assert.deepEqual(
      doctor.filter(({ verdict }) => verdict === 'problem').map(({ what }) => what),
      ['workers'],
    );
    assert.match((await command('status')).stderr, /no worker answers|no poller seen/);
    const show = await command('show', 'web');
    assert.equal(show.exitCode, 0, 'what has ended needs no worker');
  });
});
