module.exports = {
  extension: ['ts'],
  require: [
    './test/support/time-limits.cjs',
    './test/support/rejections.cjs',
    './test/support/quick-fork.cjs',
    './test/support/endings.cjs',
  ],
  reporter: 'test/support/reporter.cjs',
  // Against tests that hang. Several files share the machine, so it measures nothing.
  timeout: 60000,
  exit: true,
};
