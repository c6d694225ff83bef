// `npm run test:postgres`, apart from `npm test`, because Temporal's own server is built for some minutes, once.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Overview, RolloutRow } from '../../src/operations/index.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { landfallHere } from '../cli/command.ts';
import { createRemote, type GitRemote } from '../support/git-remote.ts';
import { pushImage } from '../support/images.ts';
import { type RunningLandfall, startLandfall } from '../support/landfall.ts';
import { createPostgresTemporal, type PostgresTemporal } from '../support/postgres-temporal.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { eventually } from '../support/wait.ts';

/** The drill of docs/production.md, by its commands; PostgreSQL and Temporal's server as programs of this machine. */
describe('Landfall with Temporal on a PostgreSQL', function () {
  this.timeout(300_000);
  let folder: string;
  let temporal: PostgresTemporal;
  let registry: Registry;
  let remote: GitRemote;
  let landfall: RunningLandfall | undefined;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-drill-'));
    temporal = await createPostgresTemporal();
    await temporal.create();
    registry = await startRegistry();
    const services = ['web', 'api'].map((name) => `  ${name}: { image: "${registry.host}/team/${name}:0.9" }\n`);
    remote = await createRemote({ files: { 'docker-compose.yml': `services:\n${services.join('')}` } });
    for (const name of ['web', 'api']) await pushImage(registry, `team/${name}`, 'latest', { cmd: ['1'] });
    await writeFile(join(folder, 'landfall.yaml'), await configuration());
  });
  after(async () => {
    await landfall?.stop();
    await temporal?.stop();
    await registry?.stop();
    await remote?.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  async function configuration(): Promise<string> {
    return stringify({
      listen: { webhooks: `127.0.0.1:${await reservePort()}`, operators: `127.0.0.1:${await reservePort()}` },
      registries: { [registry.host]: { plainHttp: true } },
      search: '5s',
      defaults: { scan: 'off', smoke: 'off', change: { repository: remote.folder, file: 'docker-compose.yml' } },
      services: [
        { image: `${registry.host}/team/web`, merge: 'auto' },
        { image: `${registry.host}/team/api`, merge: 'manual' },
      ],
    });
  }
  const start = async (): Promise<void> => {
    landfall = await startLandfall(folder, temporal.env);
  };
  const ask = async (...words: readonly string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await landfallHere(words, { cwd: folder, env: temporal.env });
    assert.equal(exitCode, 0, `${words.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const rows = async () =>
    (JSON.parse(await ask('list', '--json')) as RolloutRow[]).map(({ service, status }) => `${service} ${status}`).sort();
  const becomes = (...wanted: readonly string[]) =>
    eventually(`to be ${wanted.join(', ')}`, async () => `${await rows()}` === `${wanted}`, 60_000);

  it('goes on where it was once its database is lost and restored by the commands of docs/production.md', async () => {
    const text = await readFile(new URL('../../docs/production.md', import.meta.url), 'utf8');
    const blocks = [...text.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
    const [backUp = '', restore = '', ...more] = blocks.filter((block) => / pg_(?:dump|restore) /.test(block));
    assert.deepEqual([/ pg_dump /.test(backUp), / pg_restore /.test(restore), more], [true, true, []]);
    await start();
    await becomes('api waiting', 'web delivered');
    await ask('hold', 'api', '--reason', 'a fair');

    await landfall?.stop();
    await temporal.stopServer();
    await temporal.shell(backUp);
    await temporal.startServer();
    await start();
    // What the copy does not know of.
    await pushImage(registry, 'team/web', 'latest', { cmd: ['2'] });
    await becomes('api waiting', 'web delivered', 'web delivered');

    await landfall?.stop();
    await temporal.stopServer();
    await temporal.loseDatabase();
    await temporal.shell(restore);
    // Compose repeats schema and namespace at its start.
    await temporal.create();
    assert.deepEqual(await rows(), ['api waiting', 'web delivered']);
    await start();
    // The push of the time between is found, and what it brought is there.
    await becomes('api waiting', 'web delivered', 'web unchanged');
    const { services } = JSON.parse(await ask('status', '--json')) as Overview;
    assert.match(JSON.stringify(services.find(({ service }) => service === 'api')), /a fair/);
    await ask('release', 'api');
    // A person merges what waits since before the copy.
    await remote.git('update-ref', 'refs/heads/main', 'refs/heads/landfall/api-production');
    await becomes('api delivered', 'web delivered', 'web unchanged');
  });
});
