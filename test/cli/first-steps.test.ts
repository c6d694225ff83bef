import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planOf } from '../../src/config/plans.ts';
import { ownCommand } from '../../src/settings/own-command.ts';
import { load } from '../config/support.ts';
import { documentedStart } from '../support/documented-start.ts';
import { landfallHere } from './command.ts';

describe('the first steps with the command', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-first-'));
    await writeFile(join(folder, 'docker-compose.yml'), composeFile);
  });
  after(() => rm(folder, { recursive: true }));

  const command = (...words: readonly string[]) => landfallHere(words, { cwd: folder });

  it('init writes a landfall.yaml that loads, with the services of a compose file, and says what it left out', async () => {
    const { exitCode, stdout, stderr } = await command('init', join(folder, 'docker-compose.yml'));
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /landfall\.yaml: written, with 4 services of /);
    assert.match(stderr, /left out: db: postgres:16 is of Docker's own library/);
    assert.match(stderr, /left out: built: it has no image, or is built there/);
    assert.match((await command('config', 'check')).stdout, /: 4 services, fine$/m);
    const text = await readFile(join(folder, 'landfall.yaml'), 'utf8');
    assert.match(text, /image: ghcr\.io\/team\/web\n {4}tags:\n {6}semver: \^1\.2\.3\n {4}deploy:\n {6}compose:/);
    assert.match(text, /image: ghcr\.io\/team\/base\n {4}tags:\n {6}semver: \^2\.0\.0\n/);
    assert.match(text, /image: ghcr\.io\/team\/variant\n {4}tags:\n {6}- 1\.2\.3-alpine\n/);
    assert.match(text, new RegExp(`directory: ${folder}\n`));
  });

  it('init finds the file by itself, and never writes over a configuration', async () => {
    const again = await command('init');
    assert.equal(again.exitCode, 1);
    assert.match(again.stderr, /is there already: with --print/);
    assert.match((await command('init', '--print')).stdout, /^services:\n {2}- name: web$/m);
    assert.match((await command('init', join(folder, 'none.yml'))).stderr, /expected a readable file .*none\.yml, found ENOENT/);
    const nowhere = await command('init', join(folder, 'docker-compose.yml'), '--config', join(folder, 'none', 'landfall.yaml'));
    assert.match(nowhere.stderr, /landfall\.yaml cannot be written \(ENOENT\)/);
  });

  it('lane takes no day that the calendar does not have', async () => {
    const { exitCode, stderr } = await command('lane', 'web', '--at', '2026-02-30T15:00');
    assert.equal(exitCode, 2);
    assert.match(stderr, /expected a time such as 2026-01-31T15:00, found '2026-02-30T15:00'/);
  });

  it('init prints the services of docs/start-github-compose.md as that plans them', async () => {
    const { composeFile, configuration } = documentedStart();
    await writeFile(join(folder, 'six.yml'), composeFile);
    const printed = (await command('init', join(folder, 'six.yml'), '--print')).stdout.replaceAll(folder, '/srv/deployment');
    const services = /^services:\n(?: .*\n)+/m.exec(printed)?.[0] ?? '';
    const [documented, made] = [configuration, configuration.replace(/^services:[\s\S]*/m, services)].map((text) =>
      load(text, {}, { secretsFor: [] }),
    );
    assert.ok(documented && made);
    assert.equal(made.services.length, 6);
    for (const { name } of made.services) assert.deepEqual(planOf(made, name), planOf(documented, name));
  });

  it('completion knows every command and its options, in the words of the shell', async () => {
    const bash = (await command('completion', 'bash')).stdout;
    const complete = `COMP_WORDS=(landfall config che); COMP_CWORD=2; _landfall; echo "\${COMPREPLY[@]}"`;
    assert.equal(execFileSync('bash', ['-c', `${bash}\n${complete}`], { encoding: 'utf8' }), 'check\n');
    assert.match((await command('completion', 'zsh')).stdout, /^#compdef landfall\n/);
    assert.match(
      (await command('completion', 'fish')).stdout,
      /^complete -c landfall -n '__fish_seen_subcommand_from rollback' -l wait /m,
    );
    assert.equal((await command('completion', 'tcsh')).exitCode, 2);
  });

  it('says which commands have a schema', async () => {
    assert.equal((JSON.parse((await command('schema', 'list')).stdout) as { readonly type: string }).type, 'array');
    const { exitCode, stderr } = await command('schema', 'nothing');
    assert.equal(exitCode, 2);
    assert.match(stderr, /expected one of status, list, show, .*, found 'nothing'/);
  });

  it('names itself by its path, unless the shell finds it, and never by what asks a registry', () => {
    assert.match(ownCommand({ PATH: '/usr/bin:/clone/node_modules/.bin' }), /^node '?\/.*\/bin\/landfall\.mjs'?$/);
  });
});

const composeFile = `
x-base: &base { image: "ghcr.io/team/base:2.0.0", restart: always }
services:
  web: { image: "ghcr.io/team/web:1.2.3" }
  api: { image: "ghcr.io/team/api" }
  db: { image: "postgres:16" }
  built: { build: ., image: "ghcr.io/team/built:1" }
  based: { <<: *base, command: [serve] }
  variant: { image: "ghcr.io/team/variant:1.2.3-alpine" }
`;
