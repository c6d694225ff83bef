const { Runnable } = require('mocha');

/**
 * The limits of tests are against those that hang. They were set by what a test takes on a machine that does little else, and hold for one on
 * which it takes this many times as long.
 */
const slowest = 4;

const { timeout } = Runnable.prototype;

/** @type {(this: import('mocha').Runnable, ...limit: [] | [ms: number | string]) => unknown} */
function scaled(...limit) {
  const [ms] = limit;
  // Without an argument it says what the limit is; 0 is none.
  return Reflect.apply(timeout, this, typeof ms === 'number' ? [ms * slowest] : limit);
}

Object.assign(Runnable.prototype, { timeout: scaled });
exports.slowest = slowest;
