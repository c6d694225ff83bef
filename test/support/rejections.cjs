// Mocha hands a rejection that nobody handles to whoever else listens for it, and that is nobody unless it is said here: it fails the test
// that runs, as it would end a process.
process.on('unhandledRejection', (reason) => {
  throw reason;
});
