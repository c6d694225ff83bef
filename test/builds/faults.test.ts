import assert from 'node:assert/strict';
import { buildId } from '../../src/contracts/start-options.ts';
import { type BuildWorld, startBuildWorld } from '../support/build-world.ts';
import { type Fault, type FaultyProxy, type SeenRequest, startFaultyProxy } from '../support/faulty-proxy.ts';
import { eventually } from '../support/wait.ts';

const blobSent = /\/blobs\/uploads\/.*[?&]digest=(sha256(?::|%3A)[0-9a-f]{64})/;
const isManifest = ({ method, path }: SeenRequest) => method === 'PUT' && path.includes('/manifests/sha256:');

/** A registry that goes wrong, or a process that does, while both platforms are uploaded. */
describe('builds whose upload is cut off', function () {
  this.timeout(180_000);
  let world: BuildWorld;
  let proxy: FaultyProxy;
  let applies: (request: SeenRequest) => boolean = () => false;

  before(async () => {
    world = await startBuildWorld({
      files: (base) => ({ Dockerfile: `FROM ${base}\nCOPY version /version\n`, version: '0' }),
      async inFront(registry) {
        proxy = await startFaultyProxy(registry.url, { applies: (request) => applies(request) });
        return proxy.host;
      },
      configuration: (host, repository) => ({
        builds: [
          {
            ...{ name: 'web', source: { git: repository }, image: `${host}/team/web`, scan: 'off' },
            platforms: ['linux/amd64', 'linux/arm64'],
          },
        ],
      }),
    });
    await world.start('quick');
  });
  after(async () => {
    await world?.stop();
    await proxy?.stop();
  });

  /** Faults for the requests of the coming build that fit. @returns the commit, its tag, and where the requests of its build begin */
  async function begin(faults: readonly Fault[], fits: typeof applies) {
    const before = (await world.remote.git('rev-parse', 'main')).trim();
    const commit = await world.remote.commit('main', { version: crypto.randomUUID() }, 'a change');
    const first = proxy.requests.length;
    proxy.next(...faults);
    applies = fits;
    assert.equal((await world.tellPush(before, commit)).status, 202);
    return { commit, tag: commit.slice(0, 12), first };
  }
  const isThere = async (reference: string) => (await world.manifest('team/web', reference)).status === 200;
  /** The digests of blobs that were sent, as often as they were. */
  const sentIn = (requests: readonly SeenRequest[]) =>
    requests.flatMap(({ method, path }) => {
      const [, digest] = method === 'PUT' ? (blobSent.exec(path) ?? []) : [];
      return digest === undefined ? [] : [decodeURIComponent(digest)];
    });

  it('by a registry that fails when one platform is there: one push, and no tag before all of it is there', async () => {
    let isOneThere = false;
    const faults: Fault[] = [{ kind: 'cut' }, { kind: 'status', status: 500 }, { kind: 'cut' }, { kind: 'status', status: 503 }];
    // Everything that is written once the first manifest has been.
    const { commit, tag, first } = await begin(faults, (request) => {
      const fails = isOneThere && ['POST', 'PUT'].includes(request.method);
      isOneThere ||= isManifest(request);
      return fails;
    });
    await eventually(
      'the registry to be well again',
      async () => {
        const isTagged = await isThere(tag);
        if (proxy.remaining() === 0) return true;
        assert.ok(!isTagged, 'a tag of what is not all there');
        return false;
      },
      120_000,
    );
    const { outputs } = await world.until(buildId('web', commit), 'pushed');
    const { digest, body } = await world.manifest('team/web', tag);
    assert.equal(outputs.digest, digest);
    assert.equal(body.manifests?.length, 4);
    for (const manifest of body.manifests ?? []) assert.ok(await isThere(manifest.digest));
    const written = proxy.requests.slice(first).filter(({ method, path }) => method === 'PUT' && path.includes('/manifests/'));
    assert.deepEqual(
      written.slice(-2).map(({ path }) => path),
      [`/v2/team/web/manifests/${digest}`, `/v2/team/web/manifests/${tag}`],
    );
    assert.equal(written.filter(({ path }) => path.endsWith(tag)).length, 1);
  });

  it('by a kill: it sends no blob again that the registry has', async () => {
    // Both platforms stand still with all of their blobs there.
    const { commit, tag, first } = await begin([{ kind: 'hang' }, { kind: 'hang' }], isManifest);
    await eventually('both to stand still', async () => proxy.remaining() === 0, 120_000);
    await world.landfall().kill();
    const killed = proxy.requests.length;
    const had = new Set(sentIn(proxy.requests.slice(first, killed)));
    assert.ok(had.size >= 3, `${had.size} blobs`);
    await world.start('quick');
    const { outputs } = await world.until(buildId('web', commit), 'pushed');
    assert.equal((await world.manifest('team/web', tag)).digest, outputs.digest);
    const again = sentIn(proxy.requests.slice(killed)).filter((digest) => had.has(digest));
    assert.deepEqual(again, []);
  });
});
