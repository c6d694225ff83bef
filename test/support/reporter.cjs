/**
 * Mocha's spec reporter, with one plain line after everything else, for whoever counts: `N passed, N failed`, and `, N skipped` only
 * where that is not zero. With CI=true a skipped test fails the run. CommonJS, because mocha requires its reporters.
 */
const { reporters } = require('mocha');

class CountingReporter extends reporters.Spec {
  /**
   * Mocha calls it after the last word of its own report.
   * @override
   * @param {number} failures
   * @param {((failures: number) => void) | undefined} end takes what becomes the exit code
   */
  done(failures, end) {
    const { passes = 0, pending = 0, failures: failed = failures } = this.stats;
    const refused = process.env.CI === 'true' ? pending : 0;
    if (refused > 0) console.log(`  CI=true: ${refused} skipped, expected every test to run`);
    console.log(`${passes} passed, ${failed} failed${pending > 0 ? `, ${pending} skipped` : ''}`);
    end?.(failures + refused);
  }
}

module.exports = CountingReporter;
