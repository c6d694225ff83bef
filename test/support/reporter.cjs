/**
 * Mocha's spec reporter, which says at the end how long each file took, and then, in one plain line for whoever counts: `N passed, N failed`,
 * and `, N skipped` only where that is not zero. With CI=true a skipped test fails the run. CommonJS, because mocha requires its reporters.
 */
const { relative } = require('node:path');
const { reporters } = require('mocha');

/**
 * @typedef {{ passed: number, failed: number, skipped: number, seconds: Map<string, number> }} Result
 *   `seconds`: of each file, hooks included
 */

class CountingReporter extends reporters.Spec {
  /**
   * @param {import('mocha').Runner} runner
   * @param {import('mocha').MochaOptions} options
   */
  constructor(runner, options) {
    super(runner, options);
    /** @type {Map<string, number>} */
    this.seconds = new Map();
    let begunAt = 0;
    runner.on('suite', (suite) => {
      if (suite.parent?.root) begunAt = performance.now();
    });
    runner.on('suite end', (suite) => {
      if (!suite.parent?.root || suite.file === undefined) return;
      const file = relative(process.cwd(), suite.file);
      this.seconds.set(file, (this.seconds.get(file) ?? 0) + (performance.now() - begunAt) / 1000);
    });
  }

  /** @returns {Result} */
  result() {
    const { passes: passed = 0, pending: skipped = 0, failures: failed = 0 } = this.stats;
    return { passed, failed, skipped, seconds: this.seconds };
  }

  /**
   * Mocha calls it after the last word of its own report.
   * @override
   * @param {number} failures
   * @param {((failures: number) => void) | undefined} end takes what becomes the exit code
   */
  done(failures, end) {
    const result = this.result();
    console.log(CountingReporter.reportText(result));
    end?.(failures + CountingReporter.refusedSkips(result));
  }

  /**
   * How many skipped tests count as failures.
   * @param {Pick<Result, 'skipped'>} result
   */
  static refusedSkips({ skipped }) {
    return process.env.CI === 'true' ? skipped : 0;
  }

  /**
   * The end of a report.
   * @param {Result} result
   * @param {string} [failures] what is known of them: last, so that whoever sees only the end of a log sees them
   */
  static reportText(result, failures = '') {
    const { passed, failed, skipped, seconds } = result;
    const slowest = [...seconds].sort(([, one], [, other]) => other - one);
    const lines = slowest.map(([file, taken]) => `  ${taken.toFixed(1).padStart(7)} s  ${file}`);
    if (failures !== '') lines.push('', failures.trimEnd(), '');
    if (CountingReporter.refusedSkips(result) > 0) lines.push(`  CI=true: ${skipped} skipped, expected every test to run`);
    return [...lines, `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`].join('\n');
  }
}

module.exports = CountingReporter;
