import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { composeFiles } from '../../../src/deploys/compose/files.ts';
import { refused } from '../../support/notices.ts';

describe('the compose files of a directory', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-compose-files-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('are the first of the usual names, with the override beside it', async () => {
    assert.equal(await composeFiles(folder, []), undefined);
    await writeFile(join(folder, 'docker-compose.yml'), '');
    await writeFile(join(folder, 'compose.override.yml'), '');
    assert.deepEqual(await composeFiles(folder, []), ['docker-compose.yml', 'compose.override.yml']);
  });

  it('are not taken for missing where they cannot be looked at', async () => {
    await symlink('compose.yaml', join(folder, 'compose.yaml'));
    await writeFile(join(folder, 'docker-compose.yml'), '');
    const message = /expected .*compose\.yaml to be readable for this worker, found ELOOP: give it access, or correct/;
    await assert.rejects(composeFiles(folder, []), refused(message, 'DeployRefused'));
    await assert.rejects(composeFiles(folder, ['compose.yaml']), refused(message, 'DeployRefused'));
    await assert.rejects(composeFiles(join(folder, 'compose.yaml'), []), refused(message, 'DeployRefused'));
  });

  it('need a directory that is there', async () => {
    await assert.rejects(
      composeFiles(join(folder, 'none'), []),
      refused(/expected the directory .*none .*make it/, 'DeployRefused'),
    );
    await writeFile(join(folder, 'file'), '');
    await assert.rejects(composeFiles(join(folder, 'file'), []), refused(/expected the directory/, 'DeployRefused'));
    await assert.rejects(composeFiles(join(folder, 'file', 'below'), []), refused(/expected the directory/, 'DeployRefused'));
  });
});
