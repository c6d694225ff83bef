import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { stateQuery } from '../../src/contracts/messages.ts';
import { rolloutId } from '../../src/contracts/start-options.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { landfallHere } from '../cli/command.ts';
import { createRemote, type GitRemote } from '../support/git-remote.ts';
import { pushImage } from '../support/images.ts';
import { type RunningLandfall, startLandfall } from '../support/landfall.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { toys } from './toys.ts';

const script = fileURLToPath(new URL('./worker.ts', import.meta.url));

describe('a kind of everything that the product does not have, each a folder and a line', function () {
  this.timeout(120_000);
  let folder: string;
  let registry: Registry;
  let temporal: TestNamespace;
  let remote: GitRemote;
  let service: RunningLandfall | undefined;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-toys-'));
    registry = await startRegistry();
    temporal = await startNamespace();
    remote = await createRemote({ files: { 'compose.yml': `services:\n  web:\n    image: ${registry.host}/team/web:0.9\n` } });
  });
  after(async () => {
    await service?.stop();
    await remote.destroy();
    await temporal.stop();
    await registry.stop();
    await rm(folder, { recursive: true });
  });

  it('takes a push all the way: source, check, proposal, merge, deploy and notices; and the command tells of it', async () => {
    const [webhooks, operators] = [await reservePort(), await reservePort()];
    const [note, book] = [join(folder, 'note'), join(folder, 'book')];
    const configuration = {
      listen: { webhooks: `127.0.0.1:${webhooks}`, operators: `127.0.0.1:${operators}` },
      receivers: { toy: { token: 'env:TOY_TOKEN' } },
      registries: { [registry.host]: { plainHttp: true } },
      search: 'off',
      forge: { toy: { letters: folder } },
      notify: [{ logbook: book }],
      services: [
        {
          image: `${registry.host}/team/web`,
          scan: 'off',
          smoke: 'off',
          riddle: { answer: 'forty-two' },
          change: { repository: `toy:${remote.folder}`, file: 'compose.yml' },
          merge: 'auto',
          deploy: { note: { file: note } },
        },
      ],
    };
    await writeFile(join(folder, 'landfall.yaml'), stringify(configuration));
    const env = { TOY_TOKEN: 'a-token-of-a-toy', ...temporal.env };
    service = await startLandfall(folder, env, 'shipped', [script]);

    const digest = await pushImage(registry, 'team/web', 'latest', { busybox: true, cmd: ['true'] });
    const { status } = await fetch(`http://127.0.0.1:${webhooks}/webhook/toy`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer a-token-of-a-toy' },
      body: JSON.stringify({ repository: `${registry.host}/team/web`, tag: 'latest', digest }),
    });
    assert.equal(status, 202);

    const id = rolloutId('web', { tag: 'latest' as Tag, digest });
    const handle = temporal.client.workflow.getHandle(id);
    const state = await eventually('the push to be delivered', async () => {
      const found = await handle.query(stateQuery).catch(() => undefined);
      assert.notEqual(found?.status, 'blocked', found?.reason);
      return found?.status === 'delivered' ? found : undefined;
    });
    assert.ok(state.steps.some(({ step, status: at }) => step === 'riddle' && at === 'passed'));
    assert.equal(await readFile(note, 'utf8'), `${registry.host}/team/web:latest@${digest}`);
    assert.match(await readFile(join(folder, 'letter.md'), 'utf8'), /Riddle.*it answers forty\\?-two/);
    const lines = await eventually('the book to be written', async () => {
      const text = await readFile(book, 'utf8').catch(() => '');
      return text.includes('delivered') ? text : undefined;
    });
    assert.equal(lines, 'web proposed\nweb deploying\nweb delivered\n');

    const shown = await landfallHere(['show', id], { cwd: folder, env, kinds: toys });
    assert.equal(shown.exitCode, 0, shown.stderr);
    assert.match(shown.stdout, /riddle +passed.*it answers forty-two/);
    assert.match(shown.stdout, /deploy.*noted for the reader/);
  });

  it('is in the schema of the configuration, and nowhere in that of the product', async () => {
    const schemaOf = async (kinds?: typeof toys) => {
      const ran = await landfallHere(['config', 'schema'], { cwd: folder, ...(kinds && { kinds }) });
      assert.equal(ran.exitCode, 0, ran.stderr);
      return ran.stdout;
    };
    const [known, usual] = [await schemaOf(toys), await schemaOf()];
    for (const key of ['toy', 'riddle', 'note', 'logbook', 'letters']) {
      assert.match(known, new RegExp(`"${key}"`), key);
      assert.doesNotMatch(usual, new RegExp(`"${key}"`), key);
    }
  });

  it('is asked for by the forge that lacks its section', async () => {
    const text = 'services: [{ image: a/b, merge: off, change: { repository: "toy:/x", file: f } }]\n';
    await writeFile(join(folder, 'landfall.yaml'), text);
    const ran = await landfallHere(['config', 'check'], { cwd: folder, kinds: toys });
    assert.match(ran.stdout + ran.stderr, /change\.repository: expected forge\.toy with letters, because toy:\/x is a toy/);
  });
});
