import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Connection } from '@temporalio/client';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { readManifest } from '../scripts/kubernetes-manifest.mjs';
import { imagesOf } from '../scripts/pin-images.mjs';
import { loadConfiguration } from '../src/config/load.ts';
import { searchAttributes } from '../src/contracts/start-options.ts';
import { missingSearchAttributes } from '../src/platform/temporal/namespace.ts';
import { findTool } from '../src/platform/tools.mjs';
import { product } from '../src/product.ts';
import { createIsWithin } from '../src/settings/networks.ts';
import { startTemporal, type TestTemporal } from './support/temporal.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const composeSchema = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string().optional(),
      profiles: z.array(z.string()).default([]),
      ports: z.array(z.object({ host_ip: z.string().optional(), published: z.string(), target: z.number() })).default([]),
      healthcheck: z.object({ test: z.array(z.string()) }).optional(),
      stop_grace_period: z.string().optional(),
      volumes: z.array(z.object({ type: z.string(), source: z.string(), target: z.string() })).default([]),
      environment: z.record(z.string(), z.string().nullable()).default({}),
      networks: z.record(z.string(), z.object({ ipv4_address: z.string().optional() }).nullable()),
      cap_drop: z.array(z.string()).default([]),
      cap_add: z.array(z.string()).default([]),
      security_opt: z.array(z.string()).default([]),
      read_only: z.boolean().default(false),
      privileged: z.boolean().default(false),
      mem_limit: z.string().optional(),
      pids_limit: z.number().optional(),
    }),
  ),
  networks: z.record(
    z.string(),
    z.object({ ipam: z.object({ config: z.array(z.object({ subnet: z.string(), ip_range: z.string() })).optional() }) }),
  ),
});

function compose(
  args: readonly string[],
  env: Record<string, string>,
  folder = root,
): { status: number | null; stdout: string; stderr: string } {
  const command = findTool('docker-compose');
  assert.ok(command, 'the tests need Docker Compose');
  const whole = ['--file', join(root, 'docker-compose.yml'), '--project-directory', folder, '--env-file', '/dev/null', ...args];
  return spawnSync(command, whole, { encoding: 'utf8', env: { PATH: process.env.PATH ?? '', ...env } });
}

describe('docker-compose.yml', function () {
  this.timeout(30_000);

  const chosen: Record<string, string> & { LANDFALL_KEY: string } = {
    POSTGRES_PASSWORD: 'a password',
    LANDFALL_KEY: 'a key, the same for both parts',
  };

  function whole(folder?: string, env: Record<string, string> = {}) {
    const args = ['--profile', 'https', '--profile', 'ui', 'config', '--format', 'json'];
    const { status, stdout, stderr } = compose(args, { ...chosen, ...env }, folder);
    assert.equal(status, 0, stderr);
    return composeSchema.parse(JSON.parse(stdout));
  }
  const services = (folder?: string) => whole(folder).services;

  it('is valid, with and without the profile https', () => {
    const { status, stdout, stderr } = compose(['config', '--services'], chosen);
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stdout, /caddy|temporal-ui/);
    assert.deepEqual(services().caddy?.profiles, ['https']);
  });

  it('has no password and no key of its own', () => {
    for (const name of Object.keys(chosen)) {
      const { [name]: _missing, ...others } = chosen;
      const { status, stderr } = compose(['config'], others);
      assert.notEqual(status, 0);
      assert.match(stderr, new RegExp(`${name} is missing a value: set it in \\.env`));
    }
  });

  it("gives Landfall's key to Landfall alone", () => {
    const having = Object.entries(services()).filter(([, { environment }]) =>
      JSON.stringify(environment)?.includes(chosen.LANDFALL_KEY),
    );
    assert.deepEqual(
      having.map(([name]) => name),
      ['landfall-api', 'landfall-worker'],
    );
  });

  it('shows nothing to the network but Caddy: everything else is on loopback', () => {
    const open = Object.entries(services()).flatMap(([name, { ports }]) =>
      ports.filter(({ host_ip }) => host_ip !== '127.0.0.1').map(({ published }) => `${name}:${published}`),
    );
    assert.deepEqual(open, ['caddy:80', 'caddy:443']);
  });

  it('has Temporal on a network that nothing else reaches, and no port of it', () => {
    const all = services();
    const on = (network: string) => Object.keys(all).filter((name) => network in (all[name]?.networks ?? {}));
    assert.deepEqual(on('front').sort(), ['caddy', 'landfall-api']);
    assert.ok(!on('back').includes('caddy'));
    for (const name of ['temporal', 'postgresql']) assert.deepEqual(all[name]?.ports, [], name);
    assert.deepEqual(all['temporal-ui']?.profiles, ['ui']);
  });

  it('gives no container more than it needs', () => {
    const added: Record<string, readonly string[]> = {};
    for (const [name, service] of Object.entries(services())) {
      assert.deepEqual(
        [service.cap_drop, service.security_opt, service.privileged],
        [['ALL'], ['no-new-privileges:true'], false],
        name,
      );
      assert.ok(Number(service.mem_limit) > 0 && Number(service.pids_limit) > 0, name);
      assert.ok(service.read_only || ['temporal', 'temporal-ui'].includes(name), `${name} can write to its image`);
      if (service.cap_add.length > 0) added[name] = service.cap_add;
    }
    assert.deepEqual(added, { caddy: ['NET_BIND_SERVICE'], 'landfall-worker': ['CHOWN', 'KILL', 'SETGID', 'SETUID'] });
  });

  it('believes Caddy alone about senders, at an address that no other container gets', () => {
    const { services: all, networks } = whole();
    const file = join(root, 'examples/compose/landfall.yaml');
    const loaded = loadConfiguration(file, {}, product, { secretsFor: [] });
    assert.ok('configuration' in loaded);
    const address = all.caddy?.networks.front?.ipv4_address ?? 'none';
    assert.deepEqual(loaded.configuration.listen.trustedProxies, [address]);
    const [pool] = networks.front?.ipam.config ?? [];
    assert.ok(pool && createIsWithin([pool.subnet])(address) && !createIsWithin([pool.ip_range])(address));
  });

  it('takes every image by digest where .env says so', () => {
    const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
    const digest = `sha256:${'0'.repeat(64)}`;
    const chosen = [...imagesOf(text)].map(([name, image]) => [name, `${image}@${digest}`] as const);
    const { services: all } = whole(undefined, Object.fromEntries(chosen));
    for (const [name, { image }] of Object.entries(all))
      assert.ok(name.startsWith('landfall') || image?.endsWith(`@${digest}`), `${name}: ${image}`);
  });

  it('checks the health of whatever stays up, and names the version of every image', () => {
    const jobs = ['temporal-schema', 'temporal-namespace'];
    for (const [name, { healthcheck, image }] of Object.entries(services())) {
      assert.ok(jobs.includes(name) || healthcheck !== undefined, `${name} has no health check`);
      assert.ok(name.startsWith('landfall') || /:\d/.test(image ?? ''), `${name} has no version: ${image}`);
    }
  });

  it('gives the Docker socket to the worker only, and the artifacts to both', () => {
    const mounted = (target: string) =>
      Object.entries(services()).flatMap(([name, { volumes }]) =>
        volumes.some((volume) => volume.target === target) ? [name] : [],
      );
    assert.deepEqual(mounted('/var/run/docker.sock'), ['landfall-worker']);
    assert.deepEqual(mounted('/landfall/artifacts'), ['landfall-api', 'landfall-worker']);
  });

  it('gives the configuration to both parts, and to each only its own secrets and files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-compose-'));
    try {
      await cp(join(root, 'examples/compose'), join(folder, 'landfall'), { recursive: true });
      await writeFile(join(folder, 'landfall/api.env'), 'WEBHOOK_SECRET=a\n');
      await writeFile(join(folder, 'landfall/worker.env'), 'GITHUB_TOKEN=b\n');
      const { 'landfall-api': api, 'landfall-worker': worker } = services(folder);
      assert.ok(api && worker);
      const filesOf = ({ volumes }: typeof api) =>
        volumes.filter(({ target }) => target.startsWith('/etc/landfall')).map(({ source, target }) => [source, target]);
      const configuration = [join(folder, 'landfall/landfall.yaml'), '/etc/landfall/landfall.yaml'];
      assert.deepEqual(filesOf(api), [configuration, [join(folder, 'landfall/api'), '/etc/landfall/api']]);
      assert.deepEqual(filesOf(worker), [configuration, [join(folder, 'landfall/worker'), '/etc/landfall/worker']]);
      const secretsOf = ({ environment: { WEBHOOK_SECRET, GITHUB_TOKEN } }: typeof api) => [WEBHOOK_SECRET, GITHUB_TOKEN];
      assert.deepEqual(
        [secretsOf(api), secretsOf(worker)],
        [
          ['a', undefined],
          [undefined, 'b'],
        ],
      );
      for (const { environment } of [api, worker]) assert.equal(environment.LANDFALL_CONFIG, '/etc/landfall/landfall.yaml');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('publishes the ports, checks those, and keeps the folders that the configuration beside it names', () => {
    const file = join(root, 'examples/compose/landfall.yaml');
    const loaded = loadConfiguration(file, {}, product, { secretsFor: [] });
    assert.ok('configuration' in loaded);
    const { listen, data, artifacts } = loaded.configuration;
    const { 'landfall-api': api, 'landfall-worker': worker } = services();
    assert.ok(api && worker);
    const listening = [listen.webhooks, listen.operators];
    assert.deepEqual(
      api.ports.map(({ target }) => ({ host: '0.0.0.0', port: target })),
      listening,
    );
    assert.ok(api.healthcheck?.test.some((word) => word.includes(`:${listen.webhooks.port}/healthz`)));
    assert.ok(worker.healthcheck?.test.some((word) => word.includes(`:${listen.operators.port}/readyz`)));
    for (const { volumes } of [api, worker]) {
      const kept = volumes.filter(({ type }) => type === 'volume').map(({ target }) => target);
      assert.deepEqual(kept.sort(), [artifacts, data]);
    }
  });

  it('has Caddy cut off who is slower than any sender, before Landfall does', () => {
    const text = readFileSync(join(root, 'deploy/Caddyfile'), 'utf8');
    const [, seconds] = /read_body (\d+)s/.exec(text) ?? [];
    assert.ok(Number(seconds) <= 10, text);
    assert.match(text, /timeouts \{[^}]*read_header 5s/);
  });

  it('leaves the time that the longest stop takes', () => {
    assert.equal(services()['landfall-worker']?.stop_grace_period, '2m0s');
  });

  it('splits the roles between api and worker', () => {
    const all = services();
    assert.equal(all['landfall-api']?.environment.LANDFALL_ROLES, 'api');
    assert.equal(all['landfall-worker']?.environment.LANDFALL_ROLES, 'worker');
  });
});

describe('the namespace job of docker-compose.yml', function () {
  this.timeout(60_000);
  let temporal: TestTemporal;
  before(async () => {
    temporal = await startTemporal();
  });
  after(() => temporal.stop());

  function runJob(namespace: string): { status: number | null; output: string } {
    const command = findTool('temporal');
    assert.ok(command, 'the tests need the temporal command');
    const env = {
      PATH: [dirname(command), process.env.PATH].join(delimiter),
      HOME: tmpdir(),
      ...temporal.env,
      TEMPORAL_NAMESPACE: namespace,
    };
    const { status, stdout, stderr } = spawnSync('sh', [join(root, 'deploy/temporal/create-namespace.sh')], {
      encoding: 'utf8',
      env,
    });
    return { status, output: stdout + stderr };
  }

  it('makes a namespace that lacks nothing, and does so again without complaint', async () => {
    for (const _ of ['first', 'again']) {
      const { status, output } = runJob('made-by-the-job');
      assert.equal(status, 0, output);
    }
    const connection = await Connection.connect({ address: temporal.address });
    try {
      assert.deepEqual(await missingSearchAttributes(connection, 'made-by-the-job', Object.values(searchAttributes)), []);
      const { config } = await connection.workflowService.describeNamespace({ namespace: 'made-by-the-job' });
      assert.equal(Number(config?.workflowExecutionRetentionTtl?.seconds), 720 * 3600);
    } finally {
      await connection.close();
    }
  });
});

describe('the image', () => {
  interface Stage {
    readonly name: string;
    readonly from: string;
    readonly lines: readonly string[];
  }

  async function stages(): Promise<Stage[]> {
    const text = (await readFile(join(root, 'Dockerfile'), 'utf8')).replace(/\\\n/g, ' ');
    const blocks = text.split(/^(?=FROM )/m).slice(1);
    return blocks.map((block) => {
      const [, from = '', name = ''] = /^FROM (?:--platform=\S+ )?(\S+) AS (\S+)/.exec(block) ?? [];
      return { name, from, lines: block.split('\n').slice(1) };
    });
  }

  it('is built from stages that are named before they are used, each of a pinned base', async () => {
    const bases = imagesOf(await readFile(join(root, 'Dockerfile'), 'utf8'));
    const seen: string[] = [];
    for (const { name, from, lines } of await stages()) {
      // By an argument of its own, so that it can be taken by digest.
      assert.ok(bases.get(/^\$\{(\w+)\}$/.exec(from)?.[1] ?? '')?.includes(':'), `${name} is built from ${from}`);
      for (const [, source = ''] of lines.join('\n').matchAll(/COPY --from=(\S+)/g)) assert.ok(seen.includes(source), source);
      seen.push(name);
    }
    assert.equal(seen.at(-1), 'landfall');
  });

  it('lets no package of npm run a program, neither there nor in a release', async () => {
    for (const file of ['Dockerfile', '.github/workflows/release.yml'])
      for (const line of (await readFile(join(root, file), 'utf8')).split('\n'))
        if (/\bnpm (?:ci|install)\b/.test(line)) assert.match(line, / --ignore-scripts\b/, `${file}: ${line}`);
  });

  it('copies only what is there and what .dockerignore lets through', async () => {
    const ignore = (await readFile(join(root, '.dockerignore'), 'utf8')).split('\n');
    const copied = (await stages()).flatMap(({ lines }) =>
      lines.flatMap((line) => /^COPY (?!--from)(.*) \S+$/.exec(line)?.[1]?.split(' ') ?? []),
    );
    assert.ok(copied.includes('worker.ts'));
    for (const path of copied) {
      const isLetThrough = ignore.some((line) => line.startsWith('!') && `${path}/`.startsWith(`${line.slice(1)}/`));
      assert.ok(isLetThrough, `.dockerignore keeps ${path} out`);
      assert.ok(existsSync(join(root, path)), `${path} is not there`);
    }
  });

  it('holds every tool, for both architectures', async () => {
    const all = await stages();
    const last = all.at(-1)?.lines.join('\n') ?? '';
    for (const tool of ['bin/docker', 'bin/trivy', 'bin/temporal', 'cli-plugins/docker-compose', ' git '])
      assert.ok(last.includes(tool), tool);
    assert.ok(all.find(({ name }) => name === 'tools')?.lines.some((line) => /GOARCH=\$\{TARGETARCH\}/.test(line)));
    assert.doesNotMatch(last, /amd64|arm64|x86_64/);
  });

  it('has scripts that a shell accepts', () => {
    for (const script of ['deploy/entrypoint.sh', 'deploy/temporal/create-schema.sh', 'deploy/temporal/create-namespace.sh']) {
      const { status, stderr } = spawnSync('sh', ['-n', join(root, script)], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    }
  });
});

describe('what the project is made of', () => {
  it('has a checksum for each package of the lock file, from the registry alone', async () => {
    const { packages } = lockFile.parse(JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')));
    const { '': _, ...installed } = packages;
    assert.ok(Object.keys(installed).length > 400);
    for (const [name, { integrity, resolved }] of Object.entries(installed)) {
      assert.match(integrity ?? '', /^sha512-/, `${name}: remove its entry, and run 'npm install --package-lock-only'`);
      assert.match(resolved ?? 'https://registry.npmjs.org/', /^https:\/\/registry\.npmjs\.org\//, name);
    }
  });

  it('names each action of a workflow by its commit, the examples included', async () => {
    for (const folder of ['.github/workflows', 'examples/github']) {
      for (const file of await readdir(join(root, folder))) {
        const text = await readFile(join(root, folder, file), 'utf8');
        for (const [, action = ''] of text.matchAll(/\buses: (\S+)/g))
          assert.match(action, /@(?:[0-9a-f]{40}|COMMIT)$/, `${folder}/${file}`);
      }
    }
  });
});

const lockFile = z.object({
  packages: z.record(z.string(), z.object({ integrity: z.string().optional(), resolved: z.string().optional() })),
});

describe('.ci/run', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-ci-'));
    await mkdir(join(folder, '.ci'));
    await mkdir(join(folder, 'bin'));
    await copyFile(join(root, '.ci/run'), join(folder, '.ci/run'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** With an npm in place that answers as it is told: what is tried is what the script makes of it. */
  async function run(
    check: string,
    tests: string,
  ): Promise<{ status: number | null; lastLine: string | undefined; stdout: string }> {
    const npm = join(folder, 'bin', 'npm');
    await writeFile(npm, `#!/bin/sh\nif [ "$1" = run ]; then ${check}; else ${tests}; fi\n`);
    await chmod(npm, 0o755);
    const env = { PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter) };
    const { status, stdout } = spawnSync('bash', [join(folder, '.ci/run')], { encoding: 'utf8', env });
    return { status, stdout, lastLine: stdout.trimEnd().split('\n').at(-1) };
  }

  it('passes the output through and ends with the count', async () => {
    const { status, stdout, lastLine } = await run('echo checked', "echo tested; echo '3 passed, 0 failed'");
    assert.match(stdout, /^checked\ntested\n/);
    assert.deepEqual({ status, lastLine }, { status: 0, lastLine: '3 passed, 0 failed' });
  });

  it('fails where a test fails', async () => {
    const { status, lastLine } = await run('true', "echo '2 passed, 1 failed'; exit 1");
    assert.deepEqual({ status, lastLine }, { status: 1, lastLine: '2 passed, 1 failed' });
  });

  it('counts a failed check as one failure more', async () => {
    const { status, lastLine } = await run('false', "echo '3 passed, 0 failed'");
    assert.deepEqual({ status, lastLine }, { status: 1, lastLine: '3 passed, 1 failed' });
  });

  it('fails where tests were skipped, and says how many', async () => {
    const { status, lastLine } = await run('true', "echo '3 passed, 0 failed, 2 skipped'; exit 2");
    assert.equal(status, 1);
    assert.equal(lastLine, '3 passed, 1 failed, 2 skipped');
  });

  it('fails where the tests end without a count, whatever their exit code', async () => {
    assert.deepEqual((await run('true', 'echo broken; exit 7')).lastLine, '0 passed, 1 failed');
    const { status, lastLine } = await run('true', 'true');
    assert.deepEqual({ status, lastLine }, { status: 1, lastLine: '0 passed, 1 failed' });
  });
});

describe('deploy/kubernetes', () => {
  it('has the version of the package, and a configuration that loads', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const chart = parse(await readFile(join(root, 'deploy/kubernetes/chart/Chart.yaml'), 'utf8'));
    assert.deepEqual([chart.version, chart.appVersion], [version, version]);
    const objects = parseAllDocuments(readManifest()).map((document) => document.toJS());
    const text: string = objects.find(({ kind }) => kind === 'ConfigMap').data['landfall.yaml'];
    const loaded = loadConfiguration('/etc/landfall/landfall.yaml', {}, product, { text });
    assert.deepEqual('problems' in loaded ? loaded.problems : [], []);
  });
});
