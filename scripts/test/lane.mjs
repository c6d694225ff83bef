/**
 * One lane of the tests: a process of mocha that is told over its channel which file to run next (see lanes.mjs), and answers with what came
 * of it: `node lane.mjs MOCHA-OPTIONS`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { format } from 'node:util';
import Mocha from 'mocha';
import { mochaHooks } from '../../test/support/endings.cjs';
import CountingReporter from '../../test/support/reporter.cjs';

/**
 * @typedef {{ passed: number, failed: number, skipped: number, failures: string }} Counted `failures`: their details, as mocha prints them
 * @typedef {Counted & { processorSeconds: number }} FileResult
 */

/** USER_HZ, the same on every Linux that Node runs on. */
const ticksPerSecond = 100;

const require = createRequire(import.meta.url);
const { loadOptions } = require('mocha/lib/cli/options.cjs');
const { handleRequires } = require('mocha/lib/cli/run-helpers.cjs');

const options = loadOptions(process.argv.slice(2));
/** @type {import('mocha').Runner | undefined} */
let runner;
let isStopping = false;

/** @type {Counted} */
let result;

/** Details of failures are kept for the end of the whole run. */
class LaneReporter extends CountingReporter {
  /** @override */
  epilogue() {}

  /**
   * @override
   * @param {number} failures
   * @param {((failures: number) => void) | undefined} end
   */
  done(failures, end) {
    const { passed, failed, skipped } = this.result();
    result = { passed, failed, skipped, failures: detailsOf(this.failures) };
    end?.(failures);
  }
}

/** @param {import('mocha').Test[]} failures */
function detailsOf(failures) {
  if (failures.length === 0) return '';
  const { Base } = Mocha.reporters;
  const { consoleLog } = Base;
  let text = '';
  Base.consoleLog = (...parts) => {
    text += `${format(...parts)}\n`;
  };
  try {
    Base.list(failures);
    return text;
  } finally {
    Base.consoleLog = consoleLog;
  }
}

/**
 * @param {string} file
 * @returns {Promise<Counted>}
 */
async function runFile(file) {
  const mocha = new Mocha({ ...options, reporter: LaneReporter }).addFile(file);
  try {
    await mocha.loadFilesAsync();
  } catch (error) {
    return failed(format(error));
  }
  await new Promise((resolve) => {
    runner = mocha.run(resolve);
    if (isStopping) stop();
  });
  // Else each file would leave its listeners on the process.
  runner?.dispose();
  runner = undefined;
  await mochaHooks.afterAll();
  const isFiltered = options.grep !== undefined || options.fgrep !== undefined || isStopping;
  const isEmpty = result.passed + result.failed + result.skipped === 0;
  return isEmpty && !isFiltered ? failed('expected a test in this file, found none') : result;
}

/** @param {string} failures */
function failed(failures) {
  return { passed: 0, failed: 1, skipped: 0, failures };
}

/** Ends the test that runs, as its time-out would, so that its hooks stop what it started. */
function stop() {
  isStopping = true;
  const { currentRunnable } = runner ?? {};
  runner?.abort();
  if (currentRunnable === undefined || !('type' in currentRunnable) || currentRunnable.type !== 'test') return;
  currentRunnable.timeout(1);
  currentRunnable.resetTimeout();
}

// They come to every process of a run, by a terminal or by whoever ends its group; the one that was started says what to do.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(1));
process.on('message', (/** @type {string} */ message) => {
  if (message === 'stop') stop();
  else void answer(message);
});

/** @param {string} file */
async function answer(file) {
  const before = processorSeconds();
  const counted = await runFile(file);
  process.send?.({ ...counted, processorSeconds: processorSeconds() - before });
}

/** What this process has had, and on Linux what its children had that have ended. */
function processorSeconds() {
  const { user, system } = process.cpuUsage();
  const children =
    process.platform === 'linux' ? readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ').slice(13, 15) : [];
  return (user + system) / 1e6 + (children ?? []).reduce((sum, ticks) => sum + Number(ticks) / ticksPerSecond, 0);
}

await handleRequires(options.require);
process.send?.('ready');
