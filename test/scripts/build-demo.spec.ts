import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

// An engine of its own needs Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('the demo of builds', () => {
    it('delivers two commits, blocks one between them, keeps one record of each, is measured, and exits 0', async function () {
      this.timeout(600_000);
      const script = fileURLToPath(new URL('../../scripts/demo.mjs', import.meta.url));
      const words = [script, '--engine', '29', '--build'];
      const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
      const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
      assert.equal(code, 0, said);
      assert.deepEqual(
        [...said.matchAll(/^ *[\d.]+ s {2}web +[●■] ([\w-]+):/gm)].map(([, end]) => end),
        ['pushed', 'delivered', 'blocked', 'pushed', 'delivered'],
        said,
      );
      // Commit, build, digest and rollout name each other.
      const record =
        /commit +(\w{12})\w+\n.*\n +build +(build:web:\1)\n +digest +(sha256:(\w{12})\w+)\n +rollout +rollout:web:latest:\4, started by \2 for commit \1\n +change .*@\3.*\n +runs .*@\3, \/health answers '200 well'/g;
      assert.equal([...said.matchAll(record)].length, 2, said);
      assert.match(said, /smoke \| .*fatal: \/health would answer: no database/);
      assert.match(said, /in production +[\d.]+ s +[\d.]+ s +\d+\.\d\d/);
    });
  });
}
