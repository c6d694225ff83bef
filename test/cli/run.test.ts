import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { findProcesses } from '../../src/platform/processes/identity.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { pushImage } from '../support/images.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { eventually } from '../support/wait.ts';
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-server.ts';
import { landfall, landfallHere, type Ran } from './command.ts';

const checkout = fileURLToPath(new URL('../../', import.meta.url));
const composeFile = (host: string) => `services:\n  web:\n    image: ${host}/team/web:0.9\n`;
/** Has CVE-2021-44906. */
const vulnerable = { 'app/node_modules/minimist/package.json': JSON.stringify({ name: 'minimist', version: '1.2.5' }) };

/** In a runner as GitHub's are, as far as a command sees it. Each run is a process, with a Temporal of its own. */
describe('landfall run', function () {
  this.timeout(120_000);
  let folder: string;
  let registry: Registry;
  let github: GitHub;
  let receiver: WebhookReceiver;
  let env: Record<string, string>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-one-shot-'));
    [registry, github, receiver] = await Promise.all([startRegistry(), startGitHub(), startWebhookReceiver()]);
    await github.createRepository('team/deployment', { files: { 'docker-compose.yml': composeFile(registry.host) } });
    await cp(join(checkout, 'test/support/trivy-db/db'), join(folder, 'trivy/db'), { recursive: true });
    await mkdir(join(folder, 'tmp'));
    await writeFile(join(folder, 'landfall.yaml'), stringify(configuration()));
    env = {
      GITHUB_ACTIONS: 'true',
      GITHUB_STEP_SUMMARY: join(folder, 'summary.md'),
      GITHUB_TOKEN: token,
      HOOK_KEY: receiver.key,
      LANDFALL_OPERATOR: 'octocat',
      TMPDIR: join(folder, 'tmp'),
      DOCKER_HOST: 'unix:///nowhere/docker.sock',
    };
  });
  after(async () => {
    await Promise.all([registry?.stop(), github?.stop(), receiver?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  /** That of a server as well: its listeners and receivers have no business here, nor have their secrets. */
  function configuration() {
    return {
      listen: { webhooks: `127.0.0.1:${registry.port}`, operators: `127.0.0.1:${registry.port}` },
      receivers: { github: { secrets: ['env:SECRET_OF_THE_SERVER'] } },
      temporal: { address: 'temporal.example.org:7233', apiKey: 'env:KEY_OF_THE_SERVER' },
      registries: { [registry.host]: { plainHttp: true } },
      trivy: { cacheDir: 'trivy', offline: true },
      forge: { github: { token: 'env:GITHUB_TOKEN', url: github.url } },
      notify: [{ webhook: { url: receiver.address, secret: 'env:HOOK_KEY' }, events: ['proposed', 'blocked'] }],
      services: [
        {
          ...{ name: 'web', image: `${registry.host}/team/web`, tags: ['latest'], smoke: 'off' },
          change: { repository: 'team/deployment', base: 'main', file: 'docker-compose.yml' },
        },
        { name: 'away', image: '127.0.0.1:1/team/away', tags: ['latest'], smoke: 'off', scan: 'off' },
      ],
    };
  }

  const run = (...words: string[]): Promise<Ran> => landfall(['run', ...words], { cwd: folder, env });
  const summary = () => readFile(join(folder, 'summary.md'), 'utf8');
  const nothingIsLeft = async (): Promise<void> => {
    // Trivy's server ends as soon as it sees that its parent has, and has a folder of its own until then.
    await eventually('no Temporal and no Trivy', async () => (await findProcesses(`${folder}/`)).length === 0);
    const ours = (await readdir(join(folder, 'tmp'))).filter((name) => name.startsWith('landfall'));
    assert.deepEqual(ours, []);
  };

  it('proposes a good image, says so in the job, tells people, and leaves nothing', async () => {
    const digest = await pushImage(registry, 'team/web', 'latest', {});
    // It is told again a second later, when the rollout has long ended.
    receiver.failNext({ status: 503 });
    const { exitCode, stdout, stderr } = await run(`${registry.host}/team/web:latest@${digest}`);
    assert.equal(exitCode, 0, stdout + stderr);
    const [pull] = github.repository('team/deployment').pulls;
    assert.match(stdout, /^ +\d+\.\d s {2}web +✔ scan passed .*: no findings$/m);
    assert.match(stdout, /^::notice title=web proposed::.*\/team\/deployment\/pull\/1$/m);
    assert.match(await summary(), new RegExp(`Status: \\*\\*proposed\\*\\*[\\s\\S]*✅ scan[\\s\\S]*/pull/${pull?.number}`));
    assert.equal(stderr, '');
    assert.deepEqual(
      receiver.taken.map(({ event }) => event),
      ['proposed'],
    );
    await nothingIsLeft();
  });

  it('ends with 1 where the image is blocked, with why, what was found and what to do', async () => {
    const before = github.repository('team/deployment').pulls.length;
    await pushImage(registry, 'team/web', 'latest', { files: vulnerable });
    const { exitCode, stdout } = await run(`${registry.host}/team/web`, '--service', 'web', '--data', 'kept');
    assert.equal(exitCode, 1, stdout);
    assert.match(stdout, /scan is blocked:\n[\s\S]*CVE-2021-44906[\s\S]*What to do: push an image that passes/);
    const [, resumed = ''] = stdout.split(/^::[\w-]{36}::$/m);
    assert.match(resumed, /^::error title=web blocked::[^\n]*CVE-2021-44906[^\n]*%0Apush an image/m);
    assert.match(await summary(), /⛔ scan: 1 critical finding[\s\S]*```\n[\s\S]*CVE-2021-44906/);
    assert.equal(receiver.taken.at(-1)?.event, 'blocked');
    assert.equal(github.repository('team/deployment').pulls.length, before);
    const kept = await readdir(join(folder, 'kept'));
    assert.deepEqual([kept.includes('temporal.db'), kept.includes('temporal.json')], [true, false]);
    await nothingIsLeft();
  });

  it('ends with 1 where it takes too long, and says what it was at', async () => {
    const words = [`127.0.0.1:1/team/away:latest@sha256:${'a'.repeat(64)}`, '--timeout', '2s'];
    const { exitCode, stderr } = await run(...words);
    assert.equal(exitCode, 1, stderr);
    assert.match(stderr, /within 2 s, found rollout:away:latest:a{12} running at verify/);
    await nothingIsLeft();
  });

  it('ends cleanly where it is interrupted', async () => {
    const words = ['run', `127.0.0.1:1/team/away:latest@sha256:${'a'.repeat(64)}`];
    const child = spawn(process.execPath, [join(checkout, 'bin/landfall.mjs'), ...words], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env, GITHUB_ACTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('verify running')) child.kill('SIGINT');
    });
    const [exitCode] = await once(child, 'exit');
    assert.deepEqual([exitCode, /stopped by SIGINT before it had ended/.test(said)], [1, true], said);
    await nothingIsLeft();
  });

  for (const [what, words, exitCode, said] of [
    ['no image', [], 2, /missing required argument 'image'/],
    ['what is no image', ['https://ghcr.io/team/web'], 2, /ghcr\.io/],
    ['a timeout that is none', ['web', '--timeout', 'soon'], 2, /expected a duration such as 30m, found 'soon'/],
    ['an image that nothing follows', ['ghcr.io/team/other'], 1, /no service follows ghcr\.io\/team\/other:latest/],
    ['a tag that nothing follows, where that is well', ['web:other', '--if-followed'], 0, /nothing to do: no service follows/],
  ] as const) {
    it(`ends with ${exitCode} for ${what}, before anything is started`, async () => {
      const ran = await landfallHere(['run', ...words], { cwd: folder, env: { ...env, GITHUB_ACTIONS: '' } });
      assert.match(ran.stdout + ran.stderr, said);
      assert.equal(ran.exitCode, exitCode);
    });
  }

  it('does not take what is deployed on another host for its own', async () => {
    const place = join(folder, 'elsewhere');
    await mkdir(place);
    const [web] = configuration().services;
    const deployed = { ...web, merge: 'auto', deploy: { on: 'prod', compose: { directory: '/srv/web' } } };
    await writeFile(join(place, 'landfall.yaml'), stringify({ ...configuration(), services: [deployed] }));
    const { exitCode, stderr } = await landfallHere(['run', 'web'], { cwd: place, env });
    assert.deepEqual([exitCode, /found 'on: prod': run it there with LANDFALL_HOSTS=prod/.test(stderr)], [1, true], stderr);
  });
});
