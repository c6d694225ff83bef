import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const source = (path: string) => fileURLToPath(new URL(`../../../src/platform/${path}`, import.meta.url));

/** Hides its environment, and starts what a stage of somebody's could have as its commands. */
const script = `
const { hideEnvironment } = await import(${JSON.stringify(source('processes/hidden-environment.ts'))});
const { childEnvironment } = await import(${JSON.stringify(source('processes/environment.ts'))});
const { runProgram } = await import(${JSON.stringify(source('processes/launcher.ts'))});
const { Worker } = await import('node:worker_threads');
const problem = hideEnvironment(process.env);
const run = (text, also = []) =>
  runProgram({ command: ['sh', '-c', text], environment: childEnvironment(process.env, also) }).then(({ stdout }) => stdout.replace(/\\0+/g, '\\0'));
const inThread = new Promise((resolve) => {
  const code = 'require("node:worker_threads").parentPort.postMessage({ ...process.env })';
  new Worker(code, { eval: true, execArgv: [] }).once('message', resolve);
});
console.log(JSON.stringify({
  problem,
  // Of itself, as libraries find it, and as a thread of it does.
  own: { ...process.env },
  inThread: await inThread,
  parent: await run('cat /proc/' + process.pid + '/environ'),
  threads: await run('cat /proc/' + process.pid + '/task/*/environ'),
  launcher: await run('cat /proc/$PPID/environ'),
  given: await run('echo "$DOCKER_HOST:$GITHUB_TOKEN"', ['DOCKER_*']),
}));
`;

function inspect(env: Readonly<Record<string, string>>): Record<string, unknown> {
  const PATH = process.env.PATH ?? '';
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    env: { PATH, ...env },
    encoding: 'utf8',
  });
  assert.match(stdout, /^\{/, stderr);
  return JSON.parse(stdout);
}

describe('the environment that a service was started with', () => {
  before(function () {
    // Other systems have no /proc: docs/operating.md says what is left there.
    if (process.platform !== 'linux') this.skip();
  });

  it('shows no secret to the programs of the service, however they look', () => {
    const secrets = {
      GITHUB_TOKEN: 'ghp_hunter2',
      // Names and values of every shape: of many lines, with an equals sign, empty, not ASCII, and long.
      KEY: '-----BEGIN KEY-----\nhunter2=\n-----END KEY-----\n',
      'odd.name-1': 'hunter2',
      PASSWÖRD: 'hünter-hunter2',
      EMPTY: '',
      LONG: 'hunter2'.repeat(10_000),
      DOCKER_HOST: 'tcp://ann:hunter2@docker.example.org',
      // Begins like one that everybody gets.
      PATH_SECRET: 'hunter2',
    };
    const { problem, own, inThread, parent, threads, launcher, given } = inspect({ ...secrets, LANG: 'C', TZ: 'UTC' });
    assert.equal(problem, undefined);
    // The process that starts programs: Node's own channel to it, and nothing else.
    assert.match(String(launcher), /^(?:NODE_CHANNEL_\w+=\w+\0)+$/);
    for (const text of [parent, threads]) {
      const shown = String(text).split('\0');
      assert.deepEqual(
        shown.filter((entry) => /^(?:LANG|TZ)=/.test(entry)).filter((entry, at, all) => all.indexOf(entry) === at),
        ['LANG=C', 'TZ=UTC'],
      );
      assert.doesNotMatch(String(text), /hunter2|TOKEN|KEY|odd|SECRET|DOCKER|EMPTY/);
    }
    for (const environment of [own, inThread]) {
      assert.deepEqual({ ...Object(environment), PATH: undefined }, { ...secrets, LANG: 'C', TZ: 'UTC', PATH: undefined });
    }
    // What a child is given it has, and no more.
    assert.equal(given, `${secrets.DOCKER_HOST}:\n`);
  });

  it('may be empty, or have a thousand variables', () => {
    assert.equal(inspect({}).problem, undefined);
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`SECRET_${at}`, `hunter2-${at}`]));
    const { problem, own, parent } = inspect(many);
    assert.equal(problem, undefined);
    assert.equal(Object(own).SECRET_999, 'hunter2-999');
    assert.doesNotMatch(String(parent), /hunter2/);
  });
});
