// Every test is imported, never required: required once and imported once, a module would be there twice.
const importOnly = process.features.require_module ? ['no-experimental-require-module'] : [];

module.exports = {
  extension: ['ts'],
  require: './test/support/rejections.cjs',
  'node-option': ['import=tsx', ...importOnly],
  reporter: 'test/support/reporter.cjs',
  timeout: 20000,
  exit: true,
};
