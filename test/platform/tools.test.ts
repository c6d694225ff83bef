import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { cachedTool, cachedVersions, cacheFolder, findTool, olderTemporal } from '../../src/platform/tools.mjs';

describe('where tools are found', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-tools-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function program(path: string, mode = 0o755): Promise<string> {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, '#!/bin/sh\n');
    await chmod(path, mode);
    return path;
  }

  it('takes what the environment names before anything else', async () => {
    const named = await program(join(folder, 'named'));
    await program(join(folder, 'bin', 'temporal'));
    assert.equal(findTool('temporal', { TEMPORAL_CLI: named, PATH: join(folder, 'bin') }), named);
  });

  it('refuses an override that cannot be run, and names it', () => {
    const missing = join(folder, 'nothing');
    assert.throws(() => findTool('trivy', { TRIVY: missing }), new RegExp(`TRIVY is '${missing}', expected .* executable trivy`));
  });

  it('takes the first on PATH before the cache', async () => {
    const first = await program(join(folder, 'one', 'trivy'));
    await program(join(folder, 'two', 'trivy'));
    const env = {
      PATH: [join(folder, 'none'), join(folder, 'one'), join(folder, 'two')].join(delimiter),
      LANDFALL_CACHE: folder,
    };
    await program(cachedTool('trivy', env));
    assert.equal(findTool('trivy', env), first);
  });

  it('passes over folders and files that are not executable', async () => {
    await mkdir(join(folder, 'one', 'git'), { recursive: true });
    await program(join(folder, 'two', 'git'), 0o644);
    const right = await program(join(folder, 'three', 'git'));
    const env = { PATH: ['one', 'two', 'three'].map((name) => join(folder, name)).join(delimiter) };
    assert.equal(findTool('git', env), right);
  });

  it('falls back to the version in the cache, and to no other version', async () => {
    const env = { PATH: '', LANDFALL_CACHE: folder };
    await program(join(folder, 'temporal-0.0.1', 'temporal'));
    assert.equal(findTool('temporal', env), undefined);
    const cached = await program(join(folder, `temporal-${cachedVersions.temporal}`, 'temporal'));
    assert.equal(findTool('temporal', env), cached);
  });

  it('takes the older Temporal that Go built only where there is no newer one in the cache', async () => {
    const env = { PATH: '', LANDFALL_CACHE: folder };
    const older = await program(cachedTool('temporal', env, olderTemporal));
    assert.equal(findTool('temporal', env), older);
    const newer = await program(cachedTool('temporal', env));
    assert.equal(findTool('temporal', env), newer);
  });

  it('takes Compose from among the plugins of Docker where it is not on PATH', async () => {
    const plugin = await program(join(folder, 'docker', 'cli-plugins', 'docker-compose'));
    const env = { PATH: '', DOCKER_CONFIG: join(folder, 'docker'), LANDFALL_CACHE: folder };
    await program(cachedTool('docker-compose', env));
    assert.equal(findTool('docker-compose', env), plugin);
  });

  it('says undefined for what is nowhere', () => {
    assert.equal(findTool('skopeo', { PATH: folder }), undefined);
  });
});

describe('the cache folder', () => {
  it('is LANDFALL_CACHE, else XDG_CACHE_HOME/landfall, else the place of the platform', () => {
    const home = { HOME: '/home/ann' };
    assert.equal(cacheFolder({ ...home, LANDFALL_CACHE: '/a', XDG_CACHE_HOME: '/b' }, 'linux'), '/a');
    assert.equal(cacheFolder({ ...home, XDG_CACHE_HOME: '/b' }, 'linux'), '/b/landfall');
    assert.equal(cacheFolder(home, 'linux'), '/home/ann/.cache/landfall');
    assert.equal(cacheFolder(home, 'darwin'), '/home/ann/Library/Caches/landfall');
  });
});
