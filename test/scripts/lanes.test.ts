import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Admission, idleShare } from '../../scripts/test/admission.mjs';
import {
  isUnit,
  knownTimes,
  mochaArguments,
  needsBothEngines,
  readArguments,
  runsApart,
  usesDocker,
} from '../../scripts/test/files.mjs';
import { type Done, runLanes, take, type Work } from '../../scripts/test/lanes.mjs';
import { canRunApart, needsBuildkit, purposeOf, slowness, takeOptions, worksOf } from '../../scripts/test.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('the lanes of the tests', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-lanes-test-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function fileOf(name: string, tests: string): Promise<string> {
    const file = join(folder, `${name}.test.cjs`);
    await writeFile(file, tests);
    return file;
  }

  const workOf = (file: string, more: Partial<Work> = {}): Work => ({
    file,
    label: file.slice(folder.length + 1),
    seconds: 1,
    grounds: ['here'],
    ...more,
  });

  function run(works: Work[], lanes: number, { stop = new AbortController().signal, told = (_done: Done): void => {} } = {}) {
    const grounds = [{ name: 'here', lanes, enter: [], env: process.env }];
    return runLanes(works, grounds, { cwd: root, nodeOptions: [], mochaOptions: ['--no-config'], stop, told });
  }

  it('run side by side, the slowest first, and give the output of each file in one piece', async () => {
    const meet = (own: string, other: string) => `
      it('meets ${other}', async () => {
        const { existsSync, writeFileSync } = require('node:fs');
        console.log('${own} begins');
        writeFileSync('${folder}/${own}', '');
        while (!existsSync('${folder}/${other}')) await new Promise(setImmediate);
        console.log('${own} ends');
      });`;
    const works = [
      workOf(await fileOf('quick', "it('is quick', () => undefined);")),
      workOf(await fileOf('a', meet('a', 'b')), { seconds: 7 }),
      workOf(await fileOf('b', meet('b', 'a')), { seconds: 8 }),
    ];
    const done = await run(works, 2);
    // Begun first, it would also be done first: the others wait for each other, and each of them has a lane by then.
    assert.notEqual(done[0]?.work.label, 'quick.test.cjs');
    assert.ok(done.some(({ processorSeconds }) => processorSeconds > 0));
    for (const { work, output, passed, failed } of done) {
      const [name = ''] = work.label.split('.');
      assert.deepEqual([passed, failed], [1, 0]);
      if (name !== 'quick') assert.match(output, new RegExp(`^\\s*${name} begins\\n${name} ends\\n[^\\n]*meets .\\b.*\\s*$`));
    }
  });

  it('run what has to be alone one after the other, when everything else has ended', async () => {
    const noted = (name: string) => `
      const { appendFileSync } = require('node:fs');
      const note = (word) => appendFileSync('${folder}/notes', '${name} ' + word + '\\n');
      it('takes a while', async () => { note('begins'); await new Promise((passed) => setTimeout(passed, 100)); note('ends'); });`;
    const names = ['together', 'x', 'y'];
    const works = await Promise.all(
      names.map(async (name) =>
        workOf(await fileOf(name, noted(name)), name === 'together' ? {} : { apart: 'alone', seconds: 9 }),
      ),
    );
    await run(works.reverse(), 3);
    const notes = (await readFile(join(folder, 'notes'), 'utf8')).trim().split('\n');
    assert.deepEqual(notes.slice(0, 2), ['together begins', 'together ends']);
    assert.deepEqual(notes.slice(2), ['y begins', 'y ends', 'x begins', 'x ends']);
  });

  it('run what needs a core of its own as many at once as there are, before what has to be alone', async () => {
    const cores = availableParallelism();
    const notes = join(folder, 'notes');
    const noted = (name: string, atOnce: number) => `
      const { appendFileSync, readFileSync } = require('node:fs');
      const begun = () => readFileSync('${notes}', 'utf8').split('begins').length - 1;
      it('waits for as many', async () => {
        appendFileSync('${notes}', '${name} begins\\n');
        const all = Math.ceil(begun() / ${atOnce}) * ${atOnce};
        while (begun() < all) await new Promise(setImmediate);
        appendFileSync('${notes}', '${name} ends\\n');
      });`;
    const names = Array.from({ length: 2 * cores }, (_, at) => `core-${at}`);
    const works = [
      workOf(await fileOf('alone', noted('alone', 1)), { apart: 'alone' }),
      ...(await Promise.all(
        names.map(async (name) => workOf(await fileOf(name, noted(name, cores)), { apart: 'on a core of its own' })),
      )),
    ];
    const done = await run(works, 2 * cores + 1);
    assert.deepEqual([...new Set(done.map(({ failed }) => failed))], [0]);
    const words = (await readFile(notes, 'utf8')).trim().split('\n');
    const running = words.map((_, at) => words.slice(0, at + 1).reduce((sum, word) => sum + (/begins$/.test(word) ? 1 : -1), 0));
    assert.equal(Math.max(...running), cores);
    assert.deepEqual(words.slice(-2), ['alone begins', 'alone ends']);
  });

  it('run what has to be alone where no other file has left anything', async () => {
    const counted =
      "it('is the first here', () => require('node:assert').equal((globalThis.files = (globalThis.files ?? 0) + 1), 1));";
    const works = [workOf(await fileOf('a', counted)), workOf(await fileOf('b', counted), { apart: 'alone' })];
    const done = await run(works, 1);
    assert.deepEqual(
      done.map(({ passed }) => passed),
      [1, 1],
    );
  });

  it('keep the details of failures, and of a file that cannot be loaded or has no tests', async () => {
    const works = [
      workOf(await fileOf('fails', "it('adds', () => require('node:assert').equal(1, 2)); it('is well', () => undefined);")),
      workOf(await fileOf('broken', 'require("nowhere-to-be-found");')),
      workOf(await fileOf('empty', '')),
    ];
    const done = new Map((await run(works, 1)).map((each) => [each.work.label, each]));
    const fails = done.get('fails.test.cjs');
    assert.deepEqual([fails?.passed, fails?.failed], [1, 1]);
    assert.match(fails?.failures ?? '', /1\) adds:\n\n[\s\S]*1 == 2[\s\S]*fails\.test\.cjs:1/);
    assert.equal(done.get('broken.test.cjs')?.failed, 1);
    assert.match(done.get('broken.test.cjs')?.failures ?? '', /nowhere-to-be-found/);
    assert.equal(done.get('empty.test.cjs')?.failed, 1);
  });

  it('count a file whose process ended before it as failed, and go on with the others', async () => {
    const works = [
      workOf(await fileOf('exits', "it('exits', () => { console.log('last words'); process.exit(3); });"), { seconds: 9 }),
      workOf(await fileOf('killed', "it('is killed', () => process.kill(process.pid, 'SIGKILL'));"), { seconds: 8 }),
      workOf(await fileOf('well', "it('is well', () => undefined);")),
    ];
    const [exits, killed, well] = await run(works, 1);
    assert.equal(exits?.failed, 1);
    assert.match(exits?.failures ?? '', /ended with exit code 3, before/);
    assert.match(exits?.output ?? '', /last words/);
    assert.match(killed?.failures ?? '', /ended with SIGKILL, before/);
    assert.deepEqual([well?.passed, well?.failed], [1, 0]);
  });

  it('stop at once when told so: the test that runs is cut off, its hooks put away what it started, and nothing more begins', async () => {
    const stop = new AbortController();
    const endless = `
      const { writeFileSync } = require('node:fs');
      after(() => writeFileSync('${folder}/put-away', ''));
      it('waits', function () { this.timeout(0); writeFileSync('${folder}/waits', ''); return new Promise((passed) => setTimeout(passed, 600_000)); });`;
    const works = [
      workOf(await fileOf('endless', endless), { seconds: 9 }),
      workOf(await fileOf('never', "it('never', () => undefined);")),
    ];
    const running = run(works, 1, { stop: stop.signal });
    while ((await readFile(join(folder, 'waits'), 'utf8').catch(() => undefined)) === undefined) await setImmediate();
    stop.abort();
    const done = await running;
    assert.deepEqual(
      done.map(({ work, failed }) => [work.label, failed]),
      [['endless.test.cjs', 1]],
    );
    assert.equal(await readFile(join(folder, 'put-away'), 'utf8'), '');
  });

  it('take the slowest first, and what can run nowhere else once its lanes would be the last to end', () => {
    const grounds = [
      { name: 'here', lanes: 1 },
      { name: 'there', lanes: 2 },
    ];
    const taken = (quickest: number): (string | undefined)[] => {
      const queue = [
        workOf('any', { seconds: 50, grounds: ['here', 'there'] }),
        workOf('quick', { seconds: quickest }),
        workOf('slow', { seconds: 9 }),
        workOf('elsewhere', { seconds: 100, grounds: ['there'] }),
      ];
      return Array.from({ length: 4 }, () => take(queue, 'here', grounds)?.file);
    };
    assert.deepEqual(taken(1), ['any', 'slow', 'quick', undefined]);
    assert.deepEqual(taken(80), ['quick', 'any', 'slow', undefined]);
  });
});

describe('how many lanes work at once', () => {
  it('is so many always, and more, one after the other, while the machine has room', async () => {
    const looks: ((idle: number) => void)[] = [];
    const admission = new Admission(2, () => new Promise((resolve) => looks.push(resolve)));
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const all = [0, 1, 2, 3, 4].map((lane) =>
      admission.during(() => {
        begun.push(lane);
        return new Promise<void>((resolve) => ends.push(resolve));
      }),
    );
    const looked = async (idle: number): Promise<void> => {
      await setImmediate();
      assert.equal(looks.length, 1);
      looks.pop()?.(idle);
      await setImmediate();
    };
    await looked(0.1);
    assert.deepEqual(begun, [0, 1]);
    await looked(0.3);
    assert.deepEqual(begun, [0, 1, 2]);
    for (const end of ends.splice(0, 2)) end();
    await looked(0);
    assert.deepEqual(begun, [0, 1, 2, 3], 'two of three have ended');
    for (const end of ends.splice(0)) end();
    await looked(0);
    for (const end of ends.splice(0)) end();
    await Promise.all(all);
    assert.deepEqual(begun, [0, 1, 2, 3, 4]);
  });

  it('goes by what the processors have to do', async () => {
    const busy = Array.from({ length: availableParallelism() }, () => spawn(process.execPath, ['--eval', 'for (;;);']));
    try {
      await Promise.all(busy.map((child) => once(child, 'spawn')));
      const idle = await idleShare(500);
      assert.ok(idle >= 0 && idle < 0.2, `${idle}`);
    } finally {
      for (const child of busy) child.kill('SIGKILL');
    }
  });
});

describe('what a run of the tests is made of', () => {
  it('every test where nothing is named, of which those of the engines run on both', async () => {
    const { files, isWhole } = await takeOptions([]);
    assert.ok(isWhole);
    const grounds = [
      { name: 'current', lanes: 3, enter: [], env: {} },
      { name: 'debian', lanes: 1, enter: [], env: {} },
    ];
    const works = worksOf(files, grounds);
    assert.deepEqual([...new Set(works.map(({ file }) => file))], files);
    const groundsOf = (file: string) => works.filter((work) => work.file === file).map((work) => work.grounds);
    for (const file of [
      'test/deploys/compose/compose.test.ts',
      'test/checks/smoke/smoke.test.ts',
      'test/activities/watch.test.ts',
    ])
      assert.deepEqual(groundsOf(file), [['current'], ['debian']], file);
    assert.deepEqual(groundsOf('test/scripts/demo.test.ts'), [['current'], ['debian']]);
    assert.deepEqual(groundsOf('test/e2e/killed-delivery.test.ts'), [['current']]);
    assert.deepEqual(groundsOf('test/domain/windows.test.ts'), [['current', 'debian']]);
    // What fetches something has no network in the namespace of the current engine.
    assert.deepEqual(groundsOf('test/scripts/node.test.ts'), [['debian']]);
    assert.ok(files.filter(needsBothEngines).length >= 15);
    assert.ok(files.filter(usesDocker).length >= 40);
  });

  it('the files, folders and options that are given, as mocha takes them', async () => {
    const named = await takeOptions(['--lanes', '2', '--grep', 'a b', 'test/domain/lane/', 'test/packaging.test.ts']);
    assert.equal(named.lanes, 2);
    assert.equal(named.isWhole, false);
    assert.ok(named.files.includes('test/packaging.test.ts') && named.files.includes('test/domain/lane/lane.test.ts'));
    assert.ok(named.files.every((file) => file.startsWith('test/domain/lane/') || file === 'test/packaging.test.ts'));
    assert.deepEqual(named.mocha.slice(0, 2), ['--grep', 'a b']);
    assert.ok((await takeOptions(['--grep', 'a'])).isWhole);
    await assert.rejects(takeOptions(['--lanes', 'many']), /--lanes expects a number/);
  });

  it('told, and not run, for --help', () => {
    const { stdout, status } = spawnSync(process.execPath, [join(root, 'scripts/test.mjs'), '--help'], { encoding: 'utf8' });
    assert.equal(status, 0);
    for (const option of ['engine debian', 'engine 29', 'lanes', 'unit', 'write-times'])
      assert.ok(stdout.includes(` --${option} `), option);
    assert.ok(stdout.split('\n').length < 12, stdout);
  });

  it('set up with Kubernetes where a test needs it, which is never built for others', () => {
    const cluster = 'test/platform/kubernetes/cluster.test.ts';
    const named = [
      [],
      ['--engine', '29'],
      ['test/platform/'],
      ['test/deploys/**/*.test.ts'],
      [cluster],
      [`./${cluster}`, '--grep', 'a'],
    ];
    for (const args of [...named, ['test/packaging.test.ts', cluster]])
      assert.equal(purposeOf(args), canRunApart() ? 'cluster-test' : 'test', args.join(' '));
    for (const args of [['test/domain'], ['test/packaging.test.ts'], ['test/deploys/docker/**/*.test.ts']])
      assert.equal(purposeOf(args), 'test', args.join(' '));
    assert.equal(purposeOf(['--unit']), 'check');
  });

  it('set up with BuildKit where a test starts one, which is never built for others', () => {
    for (const args of [[], ['--engine', '29'], ['test/builds'], ['./test/builds/buildkit.test.ts']])
      assert.equal(needsBuildkit(args), canRunApart(), args.join(' '));
    for (const args of [['--unit'], ['test/domain'], ['test/builds/builds.test.ts']])
      assert.ok(!needsBuildkit(args), args.join(' '));
  });

  it('with --unit the tests that start nothing, and with them most of the pure ones', async () => {
    const { files } = await readArguments(mochaArguments([]));
    const unit = new Set(files.filter(isUnit));
    for (const file of files) {
      if (/^test\/(?:domain|config)\//.test(file)) assert.ok(unit.has(file), file);
      if (/^test\/(?:e2e|replay)\//.test(file)) assert.ok(!unit.has(file), file);
    }
    // It asks a Docker that somebody else has started.
    assert.ok(!unit.has('test/platform/docker/connect.test.ts'));
    assert.deepEqual((await takeOptions(['--unit'])).files, [...unit]);
  });

  it('in the order of times of files that there are', async () => {
    const { files } = await readArguments(mochaArguments([]));
    const gone = Object.keys(knownTimes()).filter((label) => !files.includes(label.replace(/ \(.*/, '')));
    assert.deepEqual(gone, [], 'npm test -- --write-times writes them anew');
  });

  it('too slow from forty minutes on, or later where the machine is slower', () => {
    assert.equal(slowness(39.9, 1), undefined);
    assert.equal(slowness(39.9, 0.5), undefined);
    assert.match(slowness(40.1, 1) ?? '', /took 40\.1 min, expected at most 40\.0 /);
    assert.equal(slowness(59.9, 1.5), undefined);
    assert.match(slowness(60.1, 1.5) ?? '', /at most 60\.0 \(the machine takes 1\.5 times as long as usual\)/);
  });

  it('apart those whose first comment says so', () => {
    assert.equal(runsApart('test/api/attacked-listener.test.ts'), 'alone');
    assert.equal(runsApart('test/api/worst-requests.test.ts'), 'on a core of its own');
    assert.equal(runsApart('test/domain/windows.test.ts'), undefined);
  });
});
