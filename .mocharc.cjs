module.exports = {
  extension: ['ts'],
  require: './test/support/rejections.cjs',
  reporter: 'test/support/reporter.cjs',
  timeout: 20000,
  exit: true,
};
