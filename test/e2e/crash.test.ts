import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Digest } from '../../src/domain/image-reference.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { ensureDocker, labelled } from '../support/docker.ts';
import { type FaultyProxy, type SeenRequest, startFaultyProxy } from '../support/faulty-proxy.ts';
import { eventually } from '../support/wait.ts';
import { goodImage, startWorld, type World } from '../support/world.ts';

/** The worker dies by SIGKILL in the middle of each step; each time the rollout ends as if nothing had happened. */
describe('a worker that is killed', function () {
  this.timeout(120_000);
  let world: World;
  let proxy: FaultyProxy;
  let version = 0;

  before(async () => {
    world = await startWorld({
      forge: 'github',
      inFront: async (registry) => {
        const isPull = ({ path, headers }: SeenRequest): boolean =>
          path.includes('/blobs/') && (headers['user-agent']?.startsWith('docker/') ?? false);
        proxy = await startFaultyProxy(registry.url, { applies: isPull });
        return proxy.host;
      },
      service: { smoke: { timeout: '60s', stayUp: '2s' } },
      configuration: { trivy: { command: './held-trivy', cacheDir: 'trivy', offline: true } },
    });
    await writeHeldTrivy(world);
    await world.start('quick');
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await world.stop();
    await proxy.stop();
  });

  /** Every push is another image, with a layer of its own that Docker has to pull. */
  const push = async (image: Parameters<World['push']>[1] = goodImage): Promise<Digest> => {
    version += 1;
    const digest = await world.push('latest', { ...image, files: { ...image.files, 'version.txt': `${version}` } });
    await world.deliver('latest', digest);
    return digest;
  };
  const killAndStart = async (): Promise<void> => {
    await world.landfall().kill();
    await world.start('quick');
  };
  const rolloutName = (digest: Digest): string => `rollout:web:latest:${digest.slice(7, 19)}`;
  const assertOnePullRequest = async (digest: Digest): Promise<void> => {
    const { pulls, git } = world.github.repository('team/deployment');
    assert.equal(pulls.length, 1);
    const { stdout } = await showFile(git.folder, 'landfall/web-production');
    assert.match(stdout, new RegExp(`latest@${digest}`));
    assert.deepEqual(await labelled(await ensureDocker(), rolloutName(digest)), []);
  };

  it('between creating the branch and the pull request makes one pull request', async () => {
    const isCreation = (method: string, path: string): boolean => method === 'POST' && path.endsWith('/pulls');
    world.github.failNext({ hang: true, matching: isCreation });
    const digest = await push();
    await eventually('the pull request to be asked for', async () =>
      world.github.requests.some(({ method, path }) => isCreation(method, path)),
    );
    await killAndStart();
    await world.until('latest', digest, 'proposed');
    await assertOnePullRequest(digest);
  });

  it('during the pull of the image', async () => {
    proxy.next({ kind: 'hang' });
    const digest = await push();
    await eventually('Docker to pull', async () => proxy.remaining() === 0);
    await killAndStart();
    await world.until('latest', digest, 'proposed');
    await assertOnePullRequest(digest);
  });

  it('during the scan', async () => {
    const hold = join(world.folder, 'hold');
    await writeFile(hold, '');
    const digest = await push();
    await eventually('Trivy to run', async () => existsSync(`${hold}ing`));
    await world.landfall().kill();
    await rm(hold);
    await world.start('quick');
    await world.until('latest', digest, 'proposed');
    await assertOnePullRequest(digest);
  });

  it('during the smoke test', async () => {
    const docker = await ensureDocker();
    const digest = await push();
    await eventually('the container to run', async () => (await labelled(docker, rolloutName(digest))).length >= 2);
    await killAndStart();
    await world.until('latest', digest, 'proposed');
    await assertOnePullRequest(digest);
  });

  it('while the rollout waits for a decision', async () => {
    const digest = await push({ busybox: true, cmd: ['false'] });
    await world.until('latest', digest, 'blocked');
    await killAndStart();
    const state = await world.until('latest', digest, 'blocked');
    assert.match(state.reason ?? '', /exit/i);
    await world.rollout('latest', digest).executeUpdate('skip', { args: [{ reason: 'a test', by: 'ann' }] });
    await world.until('latest', digest, 'proposed');
    await assertOnePullRequest(digest);
  });
});

/** Trivy, that waits before it starts for as long as there is a file named `hold`. */
async function writeHeldTrivy({ folder }: World): Promise<void> {
  const trivy = findTool('trivy', process.env);
  assert.ok(trivy !== undefined, 'trivy is missing: run `node scripts/setup.mjs`');
  const script = `#!/bin/sh
cd '${folder}'
if [ -e hold ]; then touch holding; while [ -e hold ]; do sleep 0.1; done; fi
exec '${trivy}' "$@"
`;
  await writeFile(join(folder, 'held-trivy'), script);
  await chmod(join(folder, 'held-trivy'), 0o755);
}

async function showFile(repository: string, branch: string): Promise<{ stdout: string }> {
  return await promisify(execFile)('git', ['show', `${branch}:docker-compose.yml`], { cwd: repository });
}
