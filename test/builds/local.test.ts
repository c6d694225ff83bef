import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { BuildState } from '../../src/contracts/messages.ts';
import { assertFits, landfall, landfallHere, type Ran } from '../cli/command.ts';
import { buildxProgram } from '../support/docker-buildx.ts';
import { gitEnvironment } from '../support/git-remote.ts';
import { pushIndex } from '../support/images.ts';
import { type Registry, startRegistry } from '../support/registry.ts';

const trivyDatabase = fileURLToPath(new URL('../support/trivy-db/db', import.meta.url));
const run = promisify(execFile);

/** In a runner as GitHub's are, as far as a command sees it. Each run is a process, with a Temporal of its own. */
describe('landfall build --local', function () {
  this.timeout(180_000);
  let folder: string;
  let checkout: string;
  let commit: string;
  let registry: Registry;
  let env: Record<string, string>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-build-local-'));
    registry = await startRegistry();
    const { digest } = await pushIndex(registry, 'base/busybox', '1', [{ busybox: true }]);
    checkout = join(folder, 'checkout');
    for (const name of ['web', 'broken']) await mkdir(join(checkout, name), { recursive: true });
    await writeFile(join(checkout, 'web', 'Dockerfile'), `FROM ${registry.host}/base/busybox@${digest}\nCMD ["echo", "ready"]\n`);
    await writeFile(
      join(checkout, 'broken', 'Dockerfile'),
      `FROM ${registry.host}/base/busybox@${digest}\nCMD ["sh", "-c", "echo ::error::it lacks its settings; exit 7"]\n`,
    );
    commit = await committed(checkout);
    // What Landfall has on disk may be in a checkout of something else.
    await committed(folder, '--allow-empty');
    await git(folder, 'remote', 'add', 'origin', 'https://git.example.org/something-else.git');
    await cp(trivyDatabase, join(folder, 'trivy/db'), { recursive: true });
    await mkdir(join(folder, 'tmp'));
    await writeFile(join(folder, 'landfall.yaml'), stringify(configuration()));
    env = {
      GITHUB_ACTIONS: 'true',
      GITHUB_STEP_SUMMARY: join(folder, 'summary.md'),
      LANDFALL_OPERATOR: 'octocat',
      TMPDIR: join(folder, 'tmp'),
      DOCKER_BUILDX: buildxProgram(),
      ...(process.env.DOCKER_HOST !== undefined && { DOCKER_HOST: process.env.DOCKER_HOST }),
    };
  });
  after(async () => {
    await registry?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const git = (at: string, ...words: string[]) => run('git', ['-C', at, ...words], { env: gitEnvironment() });
  async function committed(at: string, ...options: string[]): Promise<string> {
    await git(at, 'init', '--quiet');
    if (options.length === 0) await git(at, 'add', '.');
    await git(at, '-c', 'user.name=Ann', '-c', 'user.email=ann@example.org', 'commit', '--quiet', '-m', 'first', ...options);
    return (await git(at, 'rev-parse', 'HEAD')).stdout.trim();
  }

  /** That of a server as well: its secrets have no business here, and the repository cannot be reached. */
  function configuration() {
    const builds = ['web', 'broken'].map((name) => ({
      ...{ name, source: { git: 'https://127.0.0.1:1/team/site.git', path: name }, image: `${registry.host}/team/${name}` },
      smoke: { run: [] },
    }));
    const away = { name: 'away', source: { git: 'https://127.0.0.1:1/team/site.git' }, image: `${registry.host}/team/away` };
    return {
      listen: { webhooks: `127.0.0.1:${registry.port}`, operators: `127.0.0.1:${registry.port}` },
      receivers: { github: { secrets: ['env:SECRET_OF_THE_SERVER'] } },
      registries: { [registry.host]: { plainHttp: true } },
      trivy: { cacheDir: 'trivy', offline: true },
      builds: [...builds, { ...away, platforms: [{ platform: 'linux/arm64', on: 'arm-1' }] }],
      services: [{ image: `${registry.host}/team/web`, smoke: 'off', scan: 'off' }],
    };
  }

  const build = (...words: string[]): Promise<Ran> =>
    landfall(['build', ...words, '--local', '--source', checkout], { cwd: folder, env });
  const summary = () => readFile(join(folder, 'summary.md'), 'utf8');
  const statusOf = async (name: string) => {
    const headers = { accept: 'application/vnd.oci.image.index.v1+json' };
    return (await fetch(`${registry.url}/v2/team/${name}/manifests/${commit.slice(0, 12)}`, { headers })).status;
  };

  it('pushes the image of a checkout, says so in the job, and leaves nothing', async () => {
    const { exitCode, stdout, stderr } = await build('web');
    assert.equal(exitCode, 0, stdout + stderr);
    assert.equal(await statusOf('web'), 200);
    assert.match(stdout, /^ +\d+\.\d s {2}web +✔ build passed/m);
    assert.match(stdout, new RegExp(`^::notice title=web pushed::${registry.host}/team/web:${commit.slice(0, 12)}@sha256:`, 'm'));
    assert.match(await summary(), /Status: \*\*pushed\*\*[\s\S]*✅ upload/);
    assert.doesNotMatch(stdout, /hand-over/, 'no rollout begins');
    assert.deepEqual(
      (await readdir(join(folder, 'tmp'))).filter((name) => name.startsWith('landfall')),
      [],
    );
  });

  it('names no repository in the provenance that was not built, wherever the files were', async () => {
    const read = async (what: string, accept = '*/*') =>
      (await fetch(`${registry.url}/v2/team/web/${what}`, { headers: { accept } })).text();
    const type = 'application/vnd.oci.image';
    const index = JSON.parse(await read(`manifests/${commit.slice(0, 12)}`, `${type}.index.v1+json`));
    const attestation = JSON.parse(await read(`manifests/${index.manifests[1].digest}`, `${type}.manifest.v1+json`));
    const provenance = await read(`blobs/${attestation.layers[0].digest}`);
    assert.match(provenance, /slsa\.dev\/provenance/);
    assert.doesNotMatch(provenance, /something-else|"vcs"/);
  });

  it('ends with 1 where the test of the image fails, with its last lines, and pushes nothing', async () => {
    const { exitCode, stdout, stderr } = await build('broken');
    assert.equal(exitCode, 1, stdout + stderr);
    const [printed, resumed = ''] = stdout.split(/^::[\w-]{36}::$/m);
    assert.match(printed ?? '', /smoke \(linux\/\w+\) is blocked:\n[\s\S]*it lacks its settings/);
    // What the image says commands nobody.
    assert.doesNotMatch(resumed, /^::error::it lacks/m);
    assert.match(resumed, /^::error title=broken blocked::[^\n]*code 7/m);
    assert.match(await summary(), /⛔ smoke[\s\S]*```\n[\s\S]*it lacks its settings/);
    assert.equal(await statusOf('broken'), 404);
  });

  it('prints JSON that fits its schema', async () => {
    const { exitCode, stdout } = await landfall(['build', 'web', '--local', '--source', checkout, '--dry-run', '--json'], {
      cwd: folder,
      env: { ...env, GITHUB_ACTIONS: '' },
    });
    assert.equal(exitCode, 0, stdout);
    const printed = JSON.parse(stdout) as readonly BuildState[];
    assertFits('build', printed);
    const [state] = printed;
    assert.equal(state?.status, 'built');
    assertFits('abort', { rollout: 'build:web:0123456789ab', ...state });
  });

  for (const [what, words, exitCode, said] of [
    ['no name', ['--local'], 2, /missing required argument 'name'/],
    ['a timeout that is none', ['web', '--local', '--timeout', 'soon'], 2, /expected a duration such as 2h, found 'soon'/],
    ['a source without --local', ['web', '--source', '.'], 2, /expected --local beside --source and --data/],
    ['what is contradictory', ['web', '--local', '--dry-run', '--force'], 2, /either dryRun or force/],
    ['a release type that is none', ['web', '--local', '--release', 'best'], 2, /pre-release/],
    ['a name that no build has', ['other', '--local'], 1, /no build is named other[\s\S]*web: /],
    ['a platform of another host', ['away', '--local'], 1, /found 'on: arm-1': leave that to a Landfall that is a server/],
  ] as const) {
    it(`ends with ${exitCode} for ${what}, before anything is started`, async () => {
      const ran = await landfallHere(['build', ...words], { cwd: folder, env: { ...env, GITHUB_ACTIONS: '' } });
      assert.match(ran.stdout + ran.stderr, said);
      assert.equal(ran.exitCode, exitCode);
    });
  }
});
