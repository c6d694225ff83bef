import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { removeContainer } from '../../../src/platform/docker/remove.ts';
import { safeName } from '../../../src/platform/files/safe-name.ts';
import { type ComposeSite, composeText, createComposeSite, pinned, refusalOf } from '../../support/compose-site.ts';
import { ensureDocker } from '../../support/docker.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';

describe('going back with compose', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;
  let site: ComposeSite;
  let first: VerifiedImage;

  before(async () => {
    docker = await ensureDocker();
  });
  beforeEach(async () => {
    registry = await startRegistry();
    site = await createComposeSite(docker, registry, (image) => {
      first = image;
      return { 'docker-compose.yml': textOf(image) };
    });
    await site.compose('up', '--detach', '--quiet-pull');
  });
  afterEach(async () => {
    await site.destroy();
    await registry.stop();
  });

  function textOf(web: VerifiedImage): string {
    return composeText({ web: pinned(web), other: pinned(first) });
  }
  async function merge(image: VerifiedImage, message: string) {
    await site.remote.commit('main', { 'docker-compose.yml': textOf(image) }, message);
  }
  /** Deploys another image, and answers what ran before. */
  async function deployNext(version = '2') {
    const next = await site.image(version);
    const target = site.target(next);
    const before = await site.deployer.running(target);
    await merge(next, `web ${version}`);
    await site.deployer.deploy(target, site.work());
    return { next, target, before };
  }
  async function override(): Promise<unknown> {
    const folder = join(site.data, 'deploy/stages', safeName(site.service, 'production'));
    const text = await readFile(join(folder, 'landfall.override.yml'), 'utf8').catch(() => 'null');
    return JSON.parse(text);
  }
  async function referenceOf(service: string) {
    const [id = ''] = await site.containers(service);
    return (await docker.getContainer(id).inspect()).Config.Image;
  }

  it('needs neither registry nor forge, touches no file of the checkout and no other service, and is done once', async () => {
    const { target, before } = await deployNext();
    const [text, other] = [await site.read('docker-compose.yml'), await site.containers('other')];
    await site.git('remote', 'remove', 'origin');
    await registry.stop();
    const restored = await site.deployer.restore(target, before, site.work());
    assert.deepEqual([restored.changed, restored.running[0]?.digest], [true, first.digest]);
    assert.deepEqual(restored.running, before);
    assert.deepEqual(await override(), { services: { web: { image: pinned(first) } } });
    assert.equal(await site.read('docker-compose.yml'), text);
    assert.deepEqual(await site.containers('other'), other);

    const web = await site.containers('web');
    const again = await site.deployer.restore(target, before, site.work());
    assert.deepEqual([again.changed, again.text], [false, 'what ran before runs']);
    assert.deepEqual(await site.containers('web'), web);
  });

  it('keeps its override until the repository agrees, and brings the checkout there', async () => {
    const { target, before, next } = await deployNext();
    await site.deployer.restore(target, before, site.work());
    await site.deployer.settle(target);
    assert.notEqual(await override(), null);
    await merge(first, 'back');
    await site.deployer.settle(target);
    assert.equal(await override(), null);
    assert.equal(await site.read('docker-compose.yml'), textOf(first));
    // A person's own `up` changes nothing then.
    const web = await site.containers('web');
    await site.compose('up', '--detach');
    assert.deepEqual(await site.containers('web'), web);
    assert.equal((await site.deployer.deploy(site.target(first), site.work())).changed, false);
    assert.equal(await referenceOf('web'), pinned(first));
    assert.ok(next);
  });

  it('is over with the next image: the override goes', async () => {
    const { target, before } = await deployNext();
    await site.deployer.restore(target, before, site.work());
    const { next } = await deployNext('3');
    assert.equal(await override(), null);
    assert.equal(await referenceOf('web'), pinned(next));
  });

  it('is no business of a settle that cannot bring the checkout forward', async () => {
    const { target, before } = await deployNext();
    await site.deployer.restore(target, before, site.work());
    await site.write({ 'docker-compose.yml': '# mine\n' });
    await site.deployer.settle(target);
    assert.notEqual(await override(), null);
  });

  it('pins by digest what ran by a tag only', async () => {
    await site.write({ 'docker-compose.yml': composeText({ web: `${first.repository}:1` }) });
    await site.compose('up', '--detach', 'web');
    const next = await site.image('2');
    const target = site.target(next, { change: false });
    const before = await site.deployer.running(target);
    assert.equal(before[0]?.reference, `${first.repository}:1`);
    await site.deployer.deploy(target, site.work());
    await registry.stop();
    await site.deployer.restore(target, before, site.work());
    assert.equal(await referenceOf('web'), pinned(first));
  });

  it('brings back an image that no registry knows', async () => {
    const [id = ''] = await site.containers('web');
    const name = `landfall-test/${site.service}`;
    await docker.getContainer(id).commit({ repo: name, tag: 'own', changes: 'LABEL own=yes' });
    await site.write({ 'docker-compose.yml': composeText({ web: `${name}:own` }) });
    await site.compose('up', '--detach', 'web');
    const next = await site.image('2');
    const target = site.target(next, { change: false });
    const before = await site.deployer.running(target);
    assert.equal(before[0]?.digest, undefined);
    await site.deployer.deploy(target, site.work());
    // Somebody builds anew: only the tag that we gave it holds the image.
    await docker.getImage(`${name}:own`).remove();
    const restored = await site.deployer.restore(target, before, site.work());
    assert.equal(restored.running[0]?.imageId, before[0]?.imageId);
  });

  describe('where the image is gone from the host', () => {
    async function loseImage(imageId: string) {
      for (const service of ['other']) for (const each of await site.containers(service)) await removeContainer(docker, each);
      await docker.getImage(imageId).remove({ force: true });
    }

    it('pulls it', async () => {
      const { target, before } = await deployNext();
      await loseImage(before[0]?.imageId ?? '');
      assert.equal((await site.deployer.restore(target, before, site.work())).running[0]?.digest, first.digest);
    });

    it('says so where nobody knows its digest', async () => {
      const { target, before } = await deployNext();
      const imageId = before[0]?.imageId ?? '';
      await loseImage(imageId);
      const nameless = [{ name: 'web', reference: 'web:own', imageId }];
      const refusal = await refusalOf(site.deployer.restore(target, nameless, site.work()));
      assert.equal(refusal.type, 'DeployFailed');
      assert.match(refusal.message, /web:own.*gone from this host/);
    });
  });
});
