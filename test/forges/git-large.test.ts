// Runs on a core of its own: what it asks has 200 ms of the processor, which a busy machine stretches.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';
import { assertWithin, longestPause } from '../support/processor-time.ts';

const longestPauseMs = 200;
const files = 30_000;
const lines = 8_000_000;

describe('a branch that somebody made large, to keep whoever looks at it busy', function () {
  this.timeout(120_000);
  let remote: GitRemote;
  let folder: string;
  before(async () => {
    remote = await createRemote({ files: { 'compose.yml': 'services: {}\n' } });
    folder = await mkdtemp(join(tmpdir(), 'landfall-clones-'));
  });
  after(async () => {
    await remote.destroy();
    await rm(folder, { recursive: true });
  });

  it('is compared without keeping the event loop, and what is too much to be listed is said to be more', async () => {
    // A message of line ends, and files that are all the same.
    const message = `large${'\n'.repeat(lines)}end\n`;
    const changes = Array.from({ length: files }, (_, at) => `M 100644 :1 f${at}\n`).join('');
    const header = 'commit refs/heads/large\nmark :2\ncommitter Eve <eve@example.org> 1700000000 +0000\n';
    const stream = `blob\nmark :1\ndata 1\nx\n${header}data ${message.length}\n${message}\nfrom refs/heads/main^0\n${changes}\n`;
    const imported = promisify(execFile)('git', ['fast-import', '--quiet'], { cwd: remote.folder });
    imported.child.stdin?.end(stream);
    await imported;
    const forge = createGitForge({ folder, env: gitEnvironment() });
    const [base, head] = [await forge.head(remote.folder, 'main'), await forge.head(remote.folder, 'large')];
    assert.ok(base !== undefined && head !== undefined);
    const pause = await longestPause(async () => {
      const { commits } = await forge.compare(remote.folder, base, head);
      assert.equal(commits[0]?.message.length, message.length - 1);
      const changed = await forge.changes(remote.folder, base, head);
      assert.deepEqual([changed.more, changed.files.length], [true, 1_000]);
    });
    assertWithin(longestPauseMs, pause, 'comparing kept the event loop');
  });
});
