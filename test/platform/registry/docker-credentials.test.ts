import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Refusal } from '../../../src/domain/failures.ts';
import { createDockerCredentials, firstCredentials } from '../../../src/platform/registry/credentials.ts';

const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });

describe("Docker's credentials", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-docker-config-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** What is found for a host with a `config.json` (text or object), and credential helpers, which are shell scripts, on PATH. */
  async function find(host: string, config: unknown, helpers: Readonly<Record<string, string>> = {}, helperTimeoutMs = 5_000) {
    await writeFile(join(folder, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
    for (const [name, script] of Object.entries(helpers)) {
      await writeFile(join(folder, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
      await chmod(join(folder, `docker-credential-${name}`), 0o755);
    }
    return createDockerCredentials({ folder, env: { PATH: `${folder}:/usr/bin:/bin` }, helperTimeoutMs })(host);
  }

  const refuses = (message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.type, 'CredentialsRefused');
    assert.match(error.message, message);
    assert.ok(!error.message.includes('s3cret'), error.message);
    return true;
  };

  it('are none where docker login never ran', async () => {
    assert.equal(await createDockerCredentials({ folder: join(folder, 'nowhere'), env: {} })('ghcr.io'), undefined);
    assert.equal(await find('ghcr.io', {}), undefined);
  });

  it('are found by host, also where the key is a URL, and with colons in the password', async () => {
    const auths = { 'ghcr.io': auth('ann:s3:cret'), 'https://old.example/v1/': auth('bob:x\0\0'), 'host:5000': auth('eve:y') };
    assert.deepEqual(await find('ghcr.io', { auths }), { username: 'ann', password: 's3:cret' });
    assert.deepEqual(await find('old.example', { auths }), { username: 'bob', password: 'x' });
    assert.deepEqual(await find('host:5000', { auths }), { username: 'eve', password: 'y' });
    assert.equal(await find('host', { auths }), undefined);
    assert.equal(await find('io', { auths }), undefined);
  });

  it('are those of https://index.docker.io/v1/ for Docker Hub', async () => {
    const auths = { 'https://index.docker.io/v1/': auth('hub:x'), 'https://index.docker.io/v1/access-token': auth('hub:wrong') };
    assert.deepEqual(await find('docker.io', { auths }), { username: 'hub', password: 'x' });
  });

  it('may be an identity token', async () => {
    const auths = { 'my.azurecr.io': { ...auth('00000000-0000-0000-0000-000000000000:'), identitytoken: 'refresh' } };
    assert.deepEqual(await find('my.azurecr.io', { auths }), { username: '<token>', password: 'refresh' });
  });

  it('are none for an entry that only says that a helper has them', async () => {
    assert.equal(await find('ghcr.io', { auths: { 'ghcr.io': {} } }), undefined);
  });

  it("come from the host's own helper before the helper for all", async () => {
    const answer = (user: string) => `read -r host; echo '{"ServerURL":"'$host'","Username":"${user}-of-'$host'","Secret":"x"}'`;
    const config = { credsStore: 'all', credHelpers: { 'ghcr.io': 'own' } };
    const helpers = { all: answer('all'), own: answer('own') };
    assert.deepEqual(await find('ghcr.io', config, helpers), { username: 'own-of-ghcr.io', password: 'x' });
    assert.deepEqual(await find('docker.io', config, helpers), { username: 'all-of-https://index.docker.io/v1/', password: 'x' });
  });

  it('fall back to the file where the helper has none', async () => {
    const config = { credsStore: 'empty', auths: { 'ghcr.io': auth('ann:x') } };
    const empty = 'echo "credentials not found in native keychain"; exit 1';
    assert.deepEqual(await find('ghcr.io', config, { empty }), { username: 'ann', password: 'x' });
    assert.equal(await find('quay.io', config, { empty }), undefined);
  });

  it('are refused when their helper is not installed, is no helper, or has a path for a name', async () => {
    await assert.rejects(
      find('ghcr.io', { credsStore: 'missing' }),
      refuses(/docker-credential-missing.*cannot be started.*ENOENT/),
    );
    await assert.rejects(
      find('ghcr.io', { credsStore: 'odd' }, { odd: 'echo s3cret' }),
      refuses(/did not answer with Username and Secret/),
    );
    await assert.rejects(find('ghcr.io', { credsStore: '../x' }), refuses(/its name is expected to be letters/));
  });

  it('are tried again when their helper fails or hangs, and what it printed is not shown', async () => {
    const failing = find('ghcr.io', { credsStore: 'failing' }, { failing: 'echo s3cret; exit 3' });
    await assert.rejects(failing, { name: 'Error', message: 'docker-credential-failing get for ghcr.io ended with exit code 3' });
    const started = performance.now();
    const hanging = find('ghcr.io', { credsStore: 'hanging' }, { hanging: 'sleep 3; true' }, 200);
    await assert.rejects(hanging, {
      name: 'Error',
      message: 'docker-credential-hanging get for ghcr.io did not answer within 0.2 s',
    });
    assert.ok(performance.now() - started < 2_000, 'expected not to wait for what the helper has started');
  });

  it('are refused when the file is broken, without quoting it', async () => {
    await assert.rejects(find('ghcr.io', '{"auths": {"ghcr.io": {"auth": "s3cret"'), refuses(/is not of the expected form/));
    await assert.rejects(find('ghcr.io', { auths: { 'ghcr.io': 's3cret' } }), refuses(/is not of the expected form/));
  });
});

describe('sources of credentials', () => {
  it('are asked in their order, until one has some', async () => {
    const asked: string[] = [];
    const source = (name: string, host: string) => async (wanted: string) => {
      asked.push(name);
      return wanted === host ? { username: name, password: 'x' } : undefined;
    };
    const both = firstCredentials(source('configured', 'ghcr.io'), source('docker', 'quay.io'));
    assert.equal((await both('ghcr.io'))?.username, 'configured');
    assert.deepEqual(asked, ['configured']);
    assert.equal((await both('quay.io'))?.username, 'docker');
    assert.equal(await both('docker.io'), undefined);
  });
});
