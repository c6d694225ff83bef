/** What is to be done once all tests of a run of mocha have ended, its files sharing it. */
const endings = new Set();

exports.endings = endings;
exports.mochaHooks = {
  async afterAll() {
    const all = [...endings];
    endings.clear();
    for (const end of all) await end();
  },
};
