import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { demoPushes } from '../../../scripts/demo/kubernetes.ts';

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('the demo with Kubernetes', () => {
    it('brings pushes to the pods, takes one back, restarts what follows a tag, and exits 0', async function () {
      this.timeout(360_000);
      const script = fileURLToPath(new URL('../../../scripts/demo.mjs', import.meta.url));
      const child = spawn(process.execPath, [script, '--kubernetes'], { stdio: ['ignore', 'pipe', 'inherit'] });
      const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
      assert.equal(code, 0, said);
      const outcomes = [...said.matchAll(/^ {2}(\S+) \d+\.\d s after the push; the pods of (\S+) run sha256:/gm)];
      assert.deepEqual(
        outcomes.map(([, end, name]) => [name, end]),
        demoPushes.map(({ name, ends }) => [name, ends]),
      );
      assert.match(said, /CrashLoopBackOff\); its last line: fatal: no database in this cluster/);
    });
  });
}
