// `npm run test:image`, apart from `npm test`, because it builds for some minutes. Needs the network: Debian's packages and npm's, the first time.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseReport } from '../../src/checks/scan/trivy-report.ts';
import type { Repository } from '../../src/domain/image-reference.ts';
import { type Stack, startStack } from '../support/compose-stack.ts';
import { buildxProgram } from '../support/docker-buildx.ts';
import { buildOwnImage, type OwnImage } from '../support/landfall-image.ts';
import { createScanner } from '../support/scanner.ts';
import { eventually } from '../support/wait.ts';

const pinImages = fileURLToPath(new URL('../../scripts/pin-images.mjs', import.meta.url));

/** Built from stand-ins, as Docker Hub cannot be reached everywhere: see test/support/image-bases.ts. */
describe('the image and docker-compose.yml', function () {
  this.timeout(600_000);
  let image: OwnImage;
  let stack: Stack;
  before(async () => {
    image = await buildOwnImage();
    stack = await startStack(image);
  });
  after(async () => {
    await stack?.stop();
    await image?.stop();
  });

  it('can be named by the digests that the registries say', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-pins-'));
    try {
      const tagged = image.references.node.replace(/@.*/, ':1');
      await writeFile(join(folder, 'Dockerfile'), `ARG NODE_IMAGE=${tagged}\nFROM $NODE_IMAGE\n`);
      await mkdir(join(folder, 'cli-plugins'));
      await symlink(buildxProgram(), join(folder, 'cli-plugins/docker-buildx'));
      const env = { ...process.env, DOCKER_CONFIG: folder };
      const pinned = execFileSync(process.execPath, [pinImages, join(folder, 'Dockerfile')], { encoding: 'utf8', env });
      assert.equal(pinned, `NODE_IMAGE=${tagged}@${image.references.node.split('@')[1]}\n`);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('bring a push to a proposal', async () => {
    const answer = await stack.report();
    assert.equal(answer.status, 202, await answer.text());
    const proposed = await eventually(
      'the proposal',
      async () => {
        const text = await stack.remote.read('landfall/web-production', 'docker-compose.yml').catch(() => '');
        return text.includes(image.digest) && text;
      },
      90_000,
    );
    assert.ok(proposed.includes(`${stack.host}/landfall/landfall`), proposed);
  });

  it('pass the gate that every image has to pass', async () => {
    const scanner = await createScanner();
    try {
      const findings = await scanner.artifacts.withWorkFolder(async (folder) => {
        const report = join(folder, 'trivy.json');
        const scanned = { repository: `${image.registry.host}/landfall/landfall` as Repository, digest: image.digest };
        await scanner.trivy.scan(scanned, { report, sbom: join(folder, 'sbom.json') }, new AbortController().signal);
        return parseReport(await readFile(report, 'utf8'), 'linux/amd64').findings;
      });
      assert.deepEqual(
        findings.filter(({ severity }) => severity === 'critical' || severity === 'high'),
        [],
      );
    } finally {
      await scanner.remove();
    }
  });

  it('run as user node with the data to itself, and nothing else that can be written to', async () => {
    for (const service of ['landfall-api', 'landfall-worker']) {
      const seen = await stack.compose(
        'exec',
        '-T',
        service,
        'sh',
        '-c',
        'stat -c "%a %U" /landfall/data; touch /app/x 2>&1; grep -h "^CapEff\\|^NoNewPrivs" /proc/[0-9]*/status | sort -u; ps -o user= -C node 2>/dev/null; true',
      );
      assert.match(seen, /^700 node$/m, `${service}: ${seen}`);
      assert.match(seen, /Read-only file system/, service);
      assert.match(seen, /NoNewPrivs:\t1/, service);
      assert.doesNotMatch(seen, /NoNewPrivs:\t0/, service);
    }
  });

  it('show a container beside Caddy nothing but the webhooks and the metrics', async () => {
    const { front, back } = stack.networks;
    const ids = (await stack.compose('ps', '--quiet')).trim();
    assert.ok(ids.split('\n').length >= 4, ids);
    const reached = async (network: string) => {
      const names = ['temporal:7233', 'postgresql:5432', 'landfall-worker:8081', 'landfall-api:8080'];
      const script = `for (const at of ${JSON.stringify(names)}) { const [host, port] = at.split(':'); const s = require('net').connect({ host, port, timeout: 3000 });
        const end = (said) => { console.log(at, said); s.destroy(); }; s.on('connect', () => end('open')).on('error', () => end('closed')).on('timeout', () => end('closed')); }`;
      const lines = await stack.runOn(network, image.references.node, 'node', '-e', script);
      return lines
        .split('\n')
        .filter((line) => line.endsWith(' open'))
        .map((line) => line.split(' ')[0])
        .sort();
    };
    assert.deepEqual(await reached(front), ['landfall-api:8080']);
    assert.deepEqual(await reached(back), ['landfall-api:8080', 'landfall-worker:8081', 'postgresql:5432', 'temporal:7233']);
  });

  it('show a container beside Temporal no row of its database without the password', async () => {
    const ask = 'psql --host=postgresql --username=temporal --dbname=postgres --tuples-only --command="SELECT 41 + 1" 2>&1';
    const script = `for guess in ${stack.password} '' temporal postgres; do PGPASSWORD=$guess ${ask}; done; true`;
    const said = await stack.runOn(stack.networks.back, image.references.postgres, 'sh', '-c', script);
    assert.deepEqual([said.match(/42/g)?.length, said.match(/(?:password|authentication).*\n/g)?.length], [1, 3], said);
  });

  it('gives user node no folder that it has put a link to in the place of its own', async () => {
    const link =
      'rmdir /landfall/data && ln -s /etc /landfall/data && /app/entrypoint.sh stat -c "%U %u" /etc /landfall/artifacts';
    assert.equal(await stack.runOn(stack.networks.front, image.name, 'sh', '-c', link), 'root 0\nnode 1000\n');
  });

  it('end in order when they are asked to', async () => {
    await stack.compose('stop', '--timeout', '60', 'landfall-worker', 'landfall-api');
    const states = await stack.compose('ps', '--all', '--format', 'json', 'landfall-worker', 'landfall-api');
    const codes = [...states.matchAll(/"ExitCode":(\d+)/g)].map(([, code]) => code);
    assert.deepEqual(codes, ['0', '0'], states);
  });
});
