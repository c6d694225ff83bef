import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { createComposeDeployer } from '../../../src/deploys/compose/deployer.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import {
  type ComposeSite,
  composeText,
  createComposeSite,
  pinned,
  refusalOf,
  type SiteTarget,
} from '../../support/compose-site.ts';
import { ensureDocker } from '../../support/docker.ts';
import { type Registry, registryAccount, startRegistry } from '../../support/registry.ts';
import { repositoryAt } from '../../support/registry-client.ts';
import { pushRivals } from '../../support/rival-images.ts';

describe('deploy: compose', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;
  let site: ComposeSite;
  let first: VerifiedImage;

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
  });
  after(async () => {
    await registry.stop();
  });
  beforeEach(async () => {
    site = await createComposeSite(docker, registry, (image) => {
      first = image;
      return { 'docker-compose.yml': composeText({ web: pinned(image), other: pinned(image) }) };
    });
  });
  afterEach(async () => {
    await site.destroy();
  });

  function deploy(image: VerifiedImage, options: SiteTarget = {}) {
    return site.deployer.deploy(site.target(image, options), site.work());
  }
  /** Somebody merges: the base branch names the image. */
  function merge(image: VerifiedImage, more: Readonly<Record<string, object>> = {}) {
    const text = composeText({ web: pinned(image), other: pinned(first) }, more);
    return site.remote.commit('main', { 'docker-compose.yml': text }, `web ${image.tag}`);
  }
  /** As a person starts it. */
  async function startFirst() {
    await site.compose('up', '--detach', '--quiet-pull');
  }

  describe('with a change', () => {
    it('finds nothing where nothing runs yet, and deploys', async () => {
      assert.deepEqual(await site.deployer.running(site.target(first)), []);
      const deployed = await deploy(first);
      assert.equal(deployed.changed, true);
      assert.deepEqual(
        deployed.running.map(({ name, reference, digest }) => ({ name, reference, digest })),
        [{ name: 'web', reference: pinned(first), digest: first.digest }],
      );
      assert.deepEqual(await site.deployer.running(site.target(first)), deployed.running);
      assert.deepEqual(await site.containers('other'), []);
    });

    it('brings the checkout forward and recreates its service, and no other', async () => {
      await startFirst();
      const [web, other] = [await site.containers('web'), await site.containers('other')];
      const next = await site.image('2');
      const commit = await merge(next);
      const deployed = await deploy(next);
      assert.equal(deployed.running[0]?.digest, next.digest);
      assert.equal(deployed.text, `recreated ${site.project}-web-1`);
      assert.equal(await site.git('rev-parse', 'HEAD'), commit);
      assert.notDeepEqual(await site.containers('web'), web);
      assert.deepEqual(await site.containers('other'), other);
    });

    it('deploys the only service that uses the image, where none has the name that the change expects', async () => {
      const text = composeText({ web: pinned(first), other: 'redis:7' });
      await site.remote.commit('main', { 'docker-compose.yml': text }, 'another image for other');
      await site.git('pull', '--quiet');
      const target = { kind: 'compose', services: ['app'], orByImage: true } as const;
      const options = { change: { target }, deploy: { services: ['app'] } };
      const { running } = await deploy(first, options);
      assert.deepEqual(
        running.map(({ name, digest }) => [name, digest]),
        [['web', first.digest]],
      );
      assert.deepEqual(await site.deployer.running(site.target(first, options)), running);
    });

    it('starts nothing where Docker chooses another image from an index than the one that was scanned', async () => {
      await startFirst();
      const web = await site.containers('web');
      const rivals = { ...first, ...(await pushRivals(registry, 'team/rivals', { busybox: true, cmd: ['sleep', '60'] })) };
      const image = { ...rivals, repository: repositoryAt(registry, 'team/rivals') };
      await merge(image);
      await assert.rejects(deploy(image), { name: 'PlatformMissing', message: /expected Docker to run one of the images/ });
      assert.deepEqual(await site.containers('web'), web);
    });

    it('changes nothing where the digest runs already, and asks neither registry nor forge', async () => {
      await startFirst();
      const web = await site.containers('web');
      await site.git('remote', 'remove', 'origin');
      const deployed = await deploy(first);
      assert.deepEqual([deployed.changed, deployed.running[0]?.digest], [false, first.digest]);
      assert.deepEqual(await site.containers('web'), web);
    });

    it('starts again what runs no more', async () => {
      await startFirst();
      await site.compose('stop', 'web');
      const [survey] = await site.deployer.running(site.target(first));
      assert.equal(survey?.digest, first.digest);
      assert.equal((await deploy(first)).changed, true);
      assert.ok((await docker.getContainer((await site.containers('web'))[0] ?? '').inspect()).State.Running);
    });

    it('keeps a tag on the image that ran before, so that no prune takes it', async () => {
      await startFirst();
      const next = await site.image('2');
      await merge(next);
      const [before] = await site.deployer.running(site.target(next));
      await site.compose('rm', '--stop', '--force', 'other');
      await deploy(next);
      const kept = await docker.getImage(before?.imageId ?? '').inspect();
      // With containerd's image store, Docker counts the name by digest among the tags.
      const tags = kept.RepoTags.filter((tag) => !tag.includes('@'));
      assert.match(tags.join(), new RegExp(`^landfall/keep:${site.service}-production-web-.*[0-9a-f]{12}$`));
      const dangling = await docker.listImages({ filters: { dangling: ['true'] } });
      assert.ok(!dangling.some(({ Id }) => Id === before?.imageId));
    });

    it('deploys all containers of a scaled service', async () => {
      const two = { web: { scale: 2 } };
      await merge(first, two);
      await deploy(first);
      const next = await site.image('2');
      await merge(next, two);
      const deployed = await deploy(next);
      assert.equal(deployed.text, `recreated ${site.project}-web-1, ${site.project}-web-2`);
      assert.equal(deployed.running.length, 1);
    });

    it('accepts later commits of others, as long as its own image stands', async () => {
      await startFirst();
      const next = await site.image('2');
      await merge(next);
      await site.remote.commit('main', { 'README.md': 'hello' }, 'a note');
      assert.equal((await deploy(next)).running[0]?.digest, next.digest);
      assert.equal(await site.read('README.md'), 'hello');
    });

    it('refuses where the repository names another image by now, and says which', async () => {
      await startFirst();
      const web = await site.containers('web');
      const [next, other] = [await site.image('2'), await site.image('3')];
      await merge(next);
      await merge(other);
      const refusal = await refusalOf(deploy(next));
      assert.equal(refusal.type, 'DeployRefused');
      assert.ok(refusal.message.includes(pinned(next)) && refusal.message.includes(pinned(other)), refusal.message);
      assert.deepEqual(await site.containers('web'), web);
    });

    it('pins what the repository says only by tag', async () => {
      const next = await site.image('2');
      const text = composeText({ web: `${next.repository}:2`, other: pinned(first) });
      await site.remote.commit('main', { 'docker-compose.yml': text }, 'web 2');
      const byTag: SiteTarget = { change: { pin: 'tag' } };
      // The tag moves between the check and the deploy.
      await site.image('2', { env: { VERSION: 'moved', SITE: site.service } });
      assert.equal((await deploy(next, byTag)).running[0]?.digest, next.digest);
      await site.deployer.settle(site.target(next, byTag));
      assert.equal((await deploy(next, byTag)).changed, false);
    });

    it('takes the files that COMPOSE_FILE of .env names, and the variables beside it', async () => {
      const next = await site.image('2');
      const env = `COMPOSE_FILE=base.yml:more.yml\nWEB=${pinned(next)}\n`;
      const more = composeText({}, {}).replace('{}', '{"web":{"environment":{"MORE":"yes"}}}');
      const files = { '.env': env, 'base.yml': composeText({ web: '$WEB' }), 'more.yml': more, 'docker-compose.yml': undefined };
      await site.remote.commit('main', files, 'split');
      await deploy(next);
      const [id = ''] = await site.containers('web');
      const { Config } = await docker.getContainer(id).inspect();
      assert.ok(Config.Env.includes('MORE=yes'));
      assert.equal(Config.Image, pinned(next));
    });

    it('takes the file that the stage changes, where the directory is the root of the checkout and has none itself', async () => {
      const below = { 'docker-compose.yml': undefined, 'staging/compose.yml': composeText({ web: pinned(first) }) };
      await site.remote.commit('main', below, 'move');
      const project = `${site.project}-below`;
      const change = { file: 'staging/compose.yml' };
      const target = site.target(first, { change, deploy: { project } });
      const { running } = await site.deployer.deploy(target, site.work());
      assert.deepEqual(
        running.map(({ name, digest }) => ({ name, digest })),
        [{ name: 'web', digest: first.digest }],
      );
      for (const { Id } of await docker.listContainers({
        all: true,
        filters: { label: [`com.docker.compose.project=${project}`] },
      })) {
        await docker.getContainer(Id).remove({ force: true });
      }
      await docker.getNetwork(`${project}_default`).remove();
    });

    it('takes the override file that Compose finds by itself, and the image of a service behind a profile', async () => {
      const override = '{"services":{"web":{"environment":{"MORE":"yes"},"profiles":["later"]}}}';
      await site.remote.commit('main', { 'compose.override.yaml': override }, 'override');
      await deploy(first);
      const [id = ''] = await site.containers('web');
      assert.ok((await docker.getContainer(id).inspect()).Config.Env.includes('MORE=yes'));
    });
  });

  describe('a checkout that cannot simply go forward', () => {
    async function refusedAs(pattern: RegExp, options: SiteTarget = {}) {
      const next = await site.image('2');
      await merge(next);
      const refusal = await refusalOf(deploy(next, options));
      assert.equal(refusal.type, 'DeployRefused', refusal.message);
      assert.match(refusal.message, pattern);
      assert.deepEqual(await site.containers('web'), []);
    }

    it('is refused with uncommitted changes, which stay', async () => {
      const text = `# mine\n${await site.read('docker-compose.yml')}`;
      await site.write({ 'docker-compose.yml': text });
      await refusedAs(/uncommitted changes .* in docker-compose\.yml: commit and push/);
      assert.equal(await site.read('docker-compose.yml'), text);
    });

    it('is refused on another branch', async () => {
      await site.git('switch', '--quiet', '-c', 'mine');
      await refusedAs(/on branch main, found it on mine: 'git switch main'/);
    });

    it('is refused with commits of its own', async () => {
      await site.git('commit', '--quiet', '--allow-empty', '-m', 'mine');
      await refusedAs(/commits of its own/);
    });

    it('is refused where it is none', async () => {
      const elsewhere = join(site.data, 'elsewhere');
      await mkdir(elsewhere, { recursive: true });
      await refusedAs(/in a checkout of the deployment repository.*clone/, { deploy: { directory: elsewhere } });
    });

    it('is refused where there is no such directory', async () => {
      await refusedAs(/expected the directory \/nowhere\/at\/all/, { deploy: { directory: '/nowhere/at/all' } });
    });

    it('is refused where the compose file has no such service', async () => {
      await refusedAs(/no such service: wbe/, { deploy: { services: ['wbe'] } });
    });

    it('goes forward with untracked files, and past its own half-way', async () => {
      await site.write({ 'notes.txt': 'mine' });
      const next = await site.image('2');
      const commit = await merge(next);
      // As a try leaves it that was cut off between the files and the index.
      await site.write({ 'docker-compose.yml': await site.remote.read('main', 'docker-compose.yml') });
      assert.equal((await deploy(next)).running[0]?.digest, next.digest);
      assert.equal(await site.git('rev-parse', 'HEAD'), commit);
      assert.equal(await site.read('notes.txt'), 'mine');
    });

    it('never shows the password of its remote', async () => {
      await site.git('remote', 'set-url', 'origin', 'http://ann:hunter2@127.0.0.1:1/nothing.git');
      const next = await site.image('2');
      await assert.rejects(deploy(next), (error: Error) => !error.message.includes('hunter2') && /origin/.test(error.message));
    });
  });

  describe('without a change', () => {
    const free: SiteTarget = { change: false };

    it('pins the image beside the compose file, which stays as it is', async () => {
      await site.write({ 'docker-compose.yml': composeText({ web: 'some/other:image', other: pinned(first) }) });
      const text = await site.read('docker-compose.yml');
      await deploy(first, { ...free, deploy: { services: ['other'] } });
      const other = await site.containers('other');
      await deploy(first, free);
      const next = await site.image('2');
      assert.equal((await deploy(next, free)).running[0]?.digest, next.digest);
      await site.deployer.settle(site.target(next, free));
      assert.equal((await deploy(next, free)).changed, false);
      assert.equal(await site.read('docker-compose.yml'), text);
      assert.deepEqual(await site.containers('other'), other);
    });

    it('says what is missing where there is no compose file', async () => {
      await site.git('rm', '--quiet', 'docker-compose.yml');
      const refusal = await refusalOf(deploy(first, free));
      assert.equal(refusal.type, 'DeployRefused');
      assert.match(refusal.message, /expected a compose file/);
      assert.deepEqual(await site.deployer.running(site.target(first)), []);
    });
  });

  it('pulls with the credentials of its registry', async () => {
    const locked = await startRegistry({ basicAuth: true });
    const { user: username, password } = registryAccount;
    const credentials = async (host: string) => (host === locked.host ? { username, password } : undefined);
    const private_ = await createComposeSite(
      docker,
      locked,
      (image) => ({ 'compose.yaml': composeText({ web: pinned(image) }) }),
      {
        credentials,
      },
    );
    try {
      const image = await private_.image('1');
      const without = createComposeDeployer({ ...private_.options, credentials: async () => undefined });
      assert.equal((await refusalOf(without.deploy(private_.target(image), site.work()))).type, 'CredentialsRefused');
      assert.equal((await private_.deployer.deploy(private_.target(image), site.work())).changed, true);
    } finally {
      await private_.destroy();
      await locked.stop();
    }
  });

  it('says how to get Docker Compose where there is none', async () => {
    const bare = createComposeDeployer({ ...site.options, env: { PATH: '/nowhere', HOME: '/nowhere' } });
    const refusal = await refusalOf(bare.running(site.target(first)));
    assert.equal(refusal.type, 'DeployRefused');
    assert.match(refusal.message, /found none: install the Compose plugin/);
  });
});
