import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBuilds } from '../../src/builds/index.ts';
import { removeOldBuilds } from '../../src/builds/kept.ts';
import { projects } from '../../src/builds/projects/index.ts';
import { Refusal } from '../../src/domain/failures.ts';
import type { Repository, Tag } from '../../src/domain/image-reference.ts';
import { Artifacts } from '../../src/platform/artifacts.ts';
import { Registry } from '../../src/platform/registry/registry.ts';
import { Uploads } from '../../src/platform/registry/uploads.ts';
import { buildStartOf } from '../support/fake-builds.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';

const dayMs = 24 * 60 * 60_000;

describe('what is built and not pushed yet', () => {
  let data: string;
  let remote: GitRemote;
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'landfall-kept-'));
    remote = await createRemote({ files: { Dockerfile: 'FROM scratch\n' } });
  });
  afterEach(async () => {
    await remote.destroy();
    await rm(data, { recursive: true, force: true });
  });

  /** By a builder that builds nothing, but tells what is on disk meanwhile. */
  async function buildsWhere(build: () => Promise<void>) {
    const connection = { credentials: async () => undefined, plainHttp: () => true };
    const builder = { native: async () => ['linux/amd64'], build };
    const builds = createBuilds({
      ...{ data, env: gitEnvironment(), projects, builders: new Map([['buildx', builder]]) },
      remoteOf: async (url) => ({ url, env: {} }),
      ...{ registry: new Registry(connection), uploads: new Uploads(connection) },
      artifacts: new Artifacts(join(data, 'artifacts')),
      secrets: () => 'hush',
    });
    const [newest] = await remote.log('main');
    assert.ok(newest);
    const source = { repository: remote.url, branch: 'main', path: '' };
    const { subject } = buildStartOf('web', {}, { source, decideWithinMs: 30 * dayMs });
    const target = { name: 'web', folder: '', commit: newest.sha, image: subject.plan.image as Repository, tag: 'v1' as Tag };
    const { signal } = new AbortController();
    const work = { key: 'key', plan: subject.plan, target: { ...target, movesLatest: false, facts: {} }, signal };
    return { builds, work: { ...work, part: { platform: 'linux/amd64' } }, subject: { ...subject, commit: newest.sha } };
  }

  const age = async (path: string, days: number) => {
    const then = new Date(Date.now() - days * dayMs);
    await utimes(path, then, then);
  };
  const left = () => readdir(join(data, 'builds'));

  it('is all that an attempt finds which follows one that was killed: its secrets are gone before anything is built', async () => {
    const dead = join(data, 'builds', 'key', `platform-linux-amd64.${crypto.randomUUID()}`);
    const other = join(data, 'builds', 'key', `platform-linux-amd64-v2.${crypto.randomUUID()}`);
    for (const folder of [dead, other]) {
      await mkdir(join(folder, 'secrets'), { recursive: true });
      await writeFile(join(folder, 'secrets', 'key'), 'hush');
    }
    const seen: string[] = [];
    const { builds, work } = await buildsWhere(async () => {
      seen.push(...(await readdir(join(data, 'builds', 'key'))));
      throw new Refusal('BuildFailed', 'that is all');
    });
    await assert.rejects(builds.platforms.build(work), /that is all/);
    assert.ok(!seen.includes(dead.split('/').at(-1) ?? ''), `${seen}`);
    assert.ok(seen.includes(other.split('/').at(-1) ?? ''), `${seen}: that of another platform is built at the same time`);
  });

  it('stays as long as a step of it may wait for a decision, and a week at least', async () => {
    const { builds, work } = await buildsWhere(async () => {
      throw new Refusal('BuildFailed', 'that is all');
    });
    await assert.rejects(builds.platforms.build(work), /that is all/);
    await age(join(data, 'builds', 'key'), 29);
    for (const [name, days] of [
      ['recent', 6],
      ['old', 8],
    ] as const) {
      await mkdir(join(data, 'builds', name));
      await age(join(data, 'builds', name), days);
    }
    await mkdir(join(data, 'builds', 'over'));
    await writeFile(join(data, 'builds', 'over', 'until'), new Date(Date.now() - 1_000).toISOString());
    await removeOldBuilds(join(data, 'builds'));
    assert.deepEqual((await left()).sort(), ['key', 'recent']);
  });

  it('is not looked for where commits are only looked at, nor missed where another build ends in between', async () => {
    const { builds, subject } = await buildsWhere(() => assert.fail('nothing is built'));
    assert.equal((await builds.readTarget(subject)).name, 'web');
    const folder = join(data, 'builds');
    await removeOldBuilds(folder);
    assert.deepEqual(await left(), []);
    let isOver = false;
    const others = (async () => {
      while (!isOver) {
        const names = Array.from({ length: 20 }, (_, index) => join(folder, `${index}`));
        await Promise.all(names.map((name) => mkdir(name)));
        await Promise.all(names.map((name) => rm(name, { recursive: true })));
      }
    })();
    try {
      for (let round = 0; round < 50; round += 1) await removeOldBuilds(folder);
    } finally {
      isOver = true;
      await others;
    }
  });
});
