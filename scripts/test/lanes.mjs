/**
 * Runs test files side by side, in a few processes of mocha ("lanes") that take one file after the other, the slowest first. Each file's
 * output comes in one piece when the file has ended, the details of failures at the end of all. Files that say so run apart, at the end, in
 * processes in which no other has run: as many as there are processors, or alone.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Admission } from './admission.mjs';
import { roomyHeap } from './savings.mjs';

/**
 * @typedef {import('./lane.mjs').FileResult} FileResult
 * @typedef {object} Ground where lanes can run
 * @property {string} name
 * @property {number} lanes how many
 * @property {readonly string[]} enter what comes before the command of a process there
 * @property {Record<string, string | undefined>} env
 *
 * @typedef {object} Work one file, to be run once
 * @property {string} file
 * @property {string} label how the file, and what it runs on, is named in what is said
 * @property {number} seconds it took before, about
 * @property {'alone' | 'on a core of its own' | undefined} [apart] from the others, at the end
 * @property {readonly string[]} grounds the names of those where it can run
 *
 * @typedef {FileResult & { work: Work, seconds: number, output: string }} Done
 */

const laneScript = fileURLToPath(new URL('lane.mjs', import.meta.url));
/** After-hooks put away what tests started. */
const stopsWithinMs = 30_000;

/**
 * @param {readonly Work[]} works
 * @param {readonly Ground[]} grounds
 * @param {{ cwd: string, nodeOptions: readonly string[], mochaOptions: readonly string[], stop: AbortSignal, told: (done: Done) => void, always?: number }} context
 *   `told` is called when a file has ended; `always`: so many files run whatever the machine has to do, further ones where it has room
 * @returns {Promise<Done[]>} in the order of ending; those that `stop` left out are missing
 */
export async function runLanes(works, grounds, context) {
  const folder = mkdtempSync(join(tmpdir(), 'landfall-lanes-'));
  const lanes = grounds.flatMap((ground) =>
    Array.from({ length: ground.lanes }, (_, index) => new Lane(ground, join(folder, `${ground.name}-${index}`), context)),
  );
  /** @type {Done[]} */
  const done = [];
  const admission = new Admission(context.always ?? lanes.length);
  const runNext = async (/** @type {Lane} */ lane, /** @type {Work[]} */ queue) => {
    const next = context.stop.aborted ? undefined : take(queue, lane.ground.name, grounds);
    if (next === undefined) return false;
    const ended = await lane.run(next);
    done.push(ended);
    context.told(ended);
    return true;
  };
  const work = async (/** @type {Lane} */ lane, /** @type {Work[]} */ queue) => {
    while (await admission.during(() => runNext(lane, queue)));
  };
  const runApart = async (/** @type {Work['apart']} */ apart, /** @type {number} */ most) => {
    // Whatever they measure, what earlier files have left in memory and at work is no part of it.
    await Promise.all(lanes.map((lane) => lane.end()));
    const queue = works.filter((each) => each.apart === apart);
    for (const ground of grounds) {
      const some = lanes.filter((lane) => lane.ground === ground).slice(0, most);
      await Promise.all(some.map((lane) => work(lane, queue)));
    }
  };
  try {
    const together = works.filter(({ apart }) => apart === undefined);
    await Promise.all(lanes.map((lane) => work(lane, together)));
    await runApart('on a core of its own', availableParallelism());
    await runApart('alone', 1);
    return done;
  } finally {
    await Promise.all(lanes.map((lane) => lane.end()));
    rmSync(folder, { recursive: true });
  }
}

/**
 * Takes the slowest out of the queue: of what can run nowhere else, once that alone would take its lanes as long as the rest takes all lanes.
 * @param {Work[]} queue
 * @param {string} ground
 * @param {readonly Pick<Ground, 'name' | 'lanes'>[]} grounds
 */
export function take(queue, ground, grounds) {
  const possible = queue.filter((work) => work.grounds.includes(ground));
  const bound = possible.filter((work) => work.grounds.length === 1);
  const secondsOf = (/** @type {readonly Work[]} */ works) => works.reduce((sum, { seconds }) => sum + seconds, 0);
  const lanes = grounds.reduce((sum, each) => sum + each.lanes, 0);
  const own = grounds.find(({ name }) => name === ground)?.lanes ?? 1;
  const isUrgent = bound.length > 0 && secondsOf(bound) / own >= secondsOf(queue) / lanes;
  const [next] = (isUrgent ? bound : possible).sort((one, other) => other.seconds - one.seconds);
  if (next !== undefined) queue.splice(queue.indexOf(next), 1);
  return next;
}

class Lane {
  /**
   * @param {Ground} ground
   * @param {string} outputFile
   * @param {{ cwd: string, nodeOptions: readonly string[], mochaOptions: readonly string[], stop: AbortSignal }} context
   */
  constructor(ground, outputFile, context) {
    this.ground = ground;
    this.outputFile = outputFile;
    this.context = context;
    /** @type {Promise<import('node:child_process').ChildProcess> | undefined} */
    this.process = undefined;
    this.read = 0;
  }

  /**
   * @param {Work} work
   * @returns {Promise<Done>}
   */
  async run(work) {
    const begunAt = performance.now();
    const result = await this.resultOf(work);
    return { ...result, work, seconds: (performance.now() - begunAt) / 1000, output: this.newOutput() };
  }

  /**
   * @param {Work} work
   * @returns {Promise<FileResult>}
   */
  async resultOf(work) {
    this.process ??= this.start(work.apart === undefined ? roomyHeap : []);
    const process = await this.process;
    const answer = process.exitCode === null && process.signalCode === null ? answerOf(process) : Promise.resolve(undefined);
    process.send(work.file, () => undefined);
    const stop = () => {
      process.send('stop', () => undefined);
      setTimeout(() => process.kill('SIGKILL'), stopsWithinMs).unref();
    };
    this.context.stop.addEventListener('abort', stop, { once: true });
    const result = await answer;
    this.context.stop.removeEventListener('abort', stop);
    if (result !== undefined) return result;
    // The next file gets a new process.
    this.process = undefined;
    const how = process.signalCode ?? `exit code ${process.exitCode}`;
    return {
      passed: 0,
      failed: 1,
      skipped: 0,
      processorSeconds: 0,
      failures: `  its process ended with ${how}, before the tests in it had\n`,
    };
  }

  /** @param {readonly string[]} heap how Node is to collect memory */
  async start(heap) {
    const { cwd, nodeOptions, mochaOptions } = this.context;
    const output = openSync(this.outputFile, 'a');
    const [command = '', ...args] = [
      ...this.ground.enter,
      process.execPath,
      ...heap,
      ...nodeOptions,
      laneScript,
      ...mochaOptions,
    ];
    const stdio = /** @type {const} */ (['ignore', output, output, 'ipc']);
    const child = spawn(command, args, { cwd, env: this.ground.env, stdio: [...stdio] });
    closeSync(output);
    if ((await answerOf(child)) === undefined)
      throw new Error(`a lane of the tests did not start: ${[command, ...args].join(' ')}\n${this.newOutput()}`);
    return child;
  }

  /** What was printed since this was last asked. */
  newOutput() {
    const bytes = readFileSync(this.outputFile).subarray(this.read);
    this.read += bytes.length;
    return bytes.toString();
  }

  async end() {
    const child = await this.process?.catch(() => undefined);
    this.process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    if (child.connected) child.disconnect();
    const kill = setTimeout(() => child.kill('SIGKILL'), stopsWithinMs);
    await exited;
    clearTimeout(kill);
  }
}

/**
 * The next message, or undefined where the process ends before it.
 * @param {import('node:child_process').ChildProcess} child
 */
async function answerOf(child) {
  const over = new AbortController();
  try {
    const message = once(child, 'message', { signal: over.signal }).then(([value]) => value);
    const end = once(child, 'exit', { signal: over.signal }).then(() => undefined);
    return await Promise.race([message, end]);
  } finally {
    over.abort();
  }
}
