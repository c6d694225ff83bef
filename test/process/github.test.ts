import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectGitHub, gitHubCredentials } from '../../src/process/dependencies.ts';
import { createSecretResolver } from '../../src/settings/secrets.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { refused } from '../support/github-forge.ts';

describe('the credentials for GitHub', () => {
  it('are what the references stand for: of an App its id and its key', () => {
    const secrets = createSecretResolver({ APP_ID: '123456', APP_KEY: 'pem', TOKEN: 't' }, '/');
    const app = { id: 'env:APP_ID', privateKey: 'env:APP_KEY', installationId: 7 };
    assert.deepEqual(gitHubCredentials({ app }, secrets), { app: { id: '123456', privateKey: 'pem', installationId: 7 } });
    assert.deepEqual(gitHubCredentials({ app: { ...app, id: '99' } }, secrets), {
      app: { id: '99', privateKey: 'pem', installationId: 7 },
    });
    assert.deepEqual(gitHubCredentials({ token: 'env:TOKEN' }, secrets), { token: 't' });
  });

  describe('in a file', function () {
    // The emulator reads GitHub's description once (13 MB).
    this.timeout(60_000);
    let github: GitHub;
    let folder: string;
    before(async () => {
      github = await startGitHub();
      await github.createRepository('team/deployment');
      folder = await mkdtemp(join(tmpdir(), 'landfall-token-'));
    });
    after(async () => {
      await github.stop();
      await rm(folder, { recursive: true });
    });

    it('hold from the moment on that the file holds them', async () => {
      const file = join(folder, 'token');
      const rotate = (secret: string) => writeFile(file, `${secret}\n`);
      await rotate('revoked');
      const { clientFor } = connectGitHub({ token: 'file:token', url: github.url }, createSecretResolver({}, folder));
      const readRepository = async () => {
        const client = await clientFor('team/deployment');
        const { data } = await client.request('GET /repos/{owner}/{repo}', { owner: 'team', repo: 'deployment' });
        return data.full_name;
      };
      await assert.rejects(readRepository(), refused('CredentialsRefused', /./));
      await rotate(token);
      assert.equal(await readRepository(), 'team/deployment');
      assert.equal(await clientFor('team/deployment'), await clientFor('team/deployment'));
    });
  });
});
