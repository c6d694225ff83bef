import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { RateLimit } from '../../../src/domain/failures.ts';
import { createGitHubClients } from '../../../src/platform/github/client.ts';
import { allPermissions } from '../../support/github/access.ts';
import { type GitHub, type GitHubOptions, token } from '../../support/github/server.ts';
import {
  before,
  branch,
  broken,
  change,
  count,
  file,
  firstCommit,
  forgeOf,
  fullName,
  proposed,
  pulls,
  refused,
  type Setting,
  startDeployment,
} from '../../support/github-forge.ts';

const started: GitHub[] = [];

async function setUp(options: GitHubOptions = {}): Promise<Setting> {
  const setting = await startDeployment(options);
  started.push(setting.github);
  return setting;
}

describe('a client of GitHub', function () {
  // The emulator reads GitHub's description once (13 MB), and compiles each operation's schema at its first use.
  this.timeout(60_000);

  afterEach(async () => {
    for (const github of started.splice(0)) await github.stop();
  });

  describe('when GitHub', () => {
    it('answers 500 or 503, or cuts the connection before or within the answer, it is something broken', async () => {
      const { github, forge, base } = await setUp();
      for (const fault of [{ status: 500 }, { status: 503 }, { cut: true }, { cut: 'within' }] as const) {
        github.failNext(fault);
        await assert.rejects(forge.readFile(fullName, base, file), broken);
        assert.equal(await forge.readFile(fullName, base, file), before, JSON.stringify(fault));
      }
    });

    it('does not answer, the request ends after its time and is something broken', async () => {
      const { github } = await setUp();
      const forge = forgeOf(github, { token }, { timeoutMs: 150 });
      github.failNext({ hang: true });
      await assert.rejects(forge.head(fullName, 'main'), (error: unknown) => broken(error) && /timeout/.test(String(error)));
    });

    it('limits our rate, it is said until when, and nothing is asked again by itself', async () => {
      const { github, forge } = await setUp();
      for (const rateLimit of ['primary', 'secondary'] as const) {
        github.failNext({ rateLimit, seconds: 90 });
        const asked = github.requests.length;
        const from = Date.now();
        await assert.rejects(forge.head(fullName, 'main'), (error: unknown) => {
          assert.ok(error instanceof RateLimit, String(error));
          const seconds = (error.until.getTime() - from) / 1000;
          assert.ok(seconds >= 89.9 && seconds < 95, `until ${seconds} s from now`);
          return true;
        });
        assert.equal(github.requests.length, asked + 1);
      }
      github.failNext({ status: 429 });
      await assert.rejects(forge.head(fullName, 'main'), (error: unknown) => error instanceof RateLimit);
    });

    it('limits our rate while reviewers are asked for, it is not taken for a refused reviewer', async () => {
      const setting = await setUp();
      const head = await proposed(setting);
      setting.github.failNext({ rateLimit: 'secondary', matching: (_, path) => path.endsWith('/requested_reviewers') });
      await assert.rejects(setting.forge.openChange(change(head, { reviewers: ['ann'] })), RateLimit);
      assert.deepEqual(setting.warnings, []);
    });

    it('refuses the token, or what it may do, the answer is no and says what is needed', async () => {
      const setting = await setUp();
      const { github } = setting;
      await assert.rejects(
        forgeOf(github, { token: 'old' }).head(fullName, 'main'),
        refused('CredentialsRefused', /Bad credentials; renew/),
      );
      github.addToken('reader', { login: 'reader', permissions: { contents: 'read' } });
      const reader = forgeOf(github, { token: 'reader' });
      await assert.rejects(
        reader.commitFiles(firstCommit(setting)),
        refused('ForgeRefused', /needs the permission contents=write/),
      );
    });
  });

  describe('as a GitHub App', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    });
    const app = { id: '42', publicKey, installation: 7, owner: 'Team', permissions: allPermissions };

    it('finds its installation, and asks for one token only', async () => {
      const setting = await setUp({ apps: [app] });
      const { github } = setting;
      const forge = forgeOf(github, { app: { id: app.id, privateKey: privateKey.replaceAll('\n', '\\n') } });
      const head = await forge.commitFiles(firstCommit(setting));
      await forge.openChange(change(head));
      assert.equal(pulls(github)[0]?.author, 'landfall[bot]');
      assert.equal(count(github, 'apps/create-installation-access-token'), 1);
      assert.equal(count(github, 'apps/get-repo-installation', 200), 1);
      const given = forgeOf(github, { app: { id: app.id, privateKey, installationId: 7 } });
      assert.equal(await given.head(fullName, branch), head);
      assert.equal(count(github, 'apps/get-repo-installation', 200), 1);
    });

    it('is refused where it is not installed, and where its installation is another', async () => {
      const { github } = await setUp({ apps: [app] });
      await github.createRepository('others/repository');
      const forge = forgeOf(github, { app: { id: app.id, privateKey } });
      await assert.rejects(
        forge.head('others/repository', 'main'),
        refused('ForgeRefused', /not installed on others\/repository/),
      );
      const wrong = forgeOf(github, { app: { id: app.id, privateKey, installationId: 8 } });
      await assert.rejects(wrong.head(fullName, 'main'), refused('ForgeRefused', /no such installation/));
      const unknown = forgeOf(github, { app: { id: '43', privateKey } });
      await assert.rejects(unknown.head(fullName, 'main'), refused('CredentialsRefused', /Bad credentials/));
    });

    it('sees what an operator has granted after a refusal, though its token is an hour long', async () => {
      const granted: Record<string, 'read' | 'write'> = { contents: 'read' };
      const setting = await setUp({ apps: [{ ...app, permissions: granted }] });
      const forge = forgeOf(setting.github, { app: { id: app.id, privateKey } });
      await assert.rejects(forge.commitFiles(firstCommit(setting)), refused('ForgeRefused', /contents=write/));
      granted.contents = 'write';
      assert.match(await forge.commitFiles(firstCommit(setting)), /^[0-9a-f]{40}$/);
    });

    it('is refused at once where its key is none', () => {
      assert.throws(() => createGitHubClients({ app: { id: 1, privateKey: 'secret' } }), refused('CredentialsRefused', /PEM/));
    });
  });
});
