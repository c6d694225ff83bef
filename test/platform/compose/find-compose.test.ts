import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireCompose } from '../../../src/deploys/compose/project.ts';
import { findCompose, NoCompose, runCompose } from '../../../src/platform/compose/find-compose.ts';
import { refused } from '../../support/notices.ts';

describe('Docker Compose on this host', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-find-compose-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** An environment whose Compose is a shell script. */
  async function scripted(script: string): Promise<Record<string, string>> {
    const path = join(folder, 'docker-compose');
    await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return { PATH: process.env.PATH ?? '', DOCKER_COMPOSE: path };
  }

  it('is found by one rule for deploys and checks: 2.20 or later', async () => {
    assert.notEqual((await findCompose(process.env)).version, '');
    assert.equal((await findCompose(await scripted('echo v2.20.0'))).version, '2.20.0');
    const old = await scripted('echo 2.19.1');
    const message = /expected Docker Compose 2\.20 or later on this host, found .*docker-compose 2\.19\.1: install/;
    await assert.rejects(findCompose(old), (error) => error instanceof NoCompose && message.test(error.message));
    await assert.rejects(runCompose({ arguments: ['config'], directory: folder, env: old }), NoCompose);
    await assert.rejects(requireCompose(old), refused(message, 'DeployRefused'));
  });

  it('is none where it is another program', async () => {
    await assert.rejects(findCompose(await scripted('exit 1')), /found none: install/);
  });

  it('is not none where it hangs, or is killed: that passes, and a refusal would not', async () => {
    const hangs = await scripted('exec sleep 60');
    await assert.rejects(
      findCompose(hangs, 300),
      (error) => error instanceof Error && !(error instanceof NoCompose) && /did not answer within 0\.3 s$/.test(error.message),
    );
    const killed = await scripted('kill -9 $$');
    await assert.rejects(
      requireCompose(killed),
      (error) => error instanceof Error && error.name === 'Error' && /was ended by SIGKILL$/.test(error.message),
    );
  });
});
