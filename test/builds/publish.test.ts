import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { Sources } from '../../src/builds/checkout.ts';
import { createPublish, type Publication } from '../../src/builds/publish.ts';
import { type Digest, parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import { manifestTypes } from '../../src/platform/registry/manifest.ts';
import { Registry as RegistryClient } from '../../src/platform/registry/registry.ts';
import { Uploads } from '../../src/platform/registry/uploads.ts';
import { pushImage } from '../support/images.ts';
import { type Registry, startRegistry } from '../support/registry.ts';

const connection = { credentials: async () => undefined, plainHttp: () => true };
/** In the order in which they were made. */
const commits = ['1', '2', '3'].map((digit) => digit.repeat(40)) as [string, string, string];
const [first, older, newer] = commits;

describe('latest', () => {
  let registry: Registry;
  const client = new RegistryClient(connection);
  let count = 0;
  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry?.stop());
  beforeEach(() => {
    count += 1;
  });

  const name = () => `team/app-${count}`;
  const image = () => parseRepository(`${registry.host}/${name()}`);
  const latest = () => client.resolve(image(), 'latest' as Tag);

  async function publicationOf(commit: string): Promise<Publication> {
    const digest = (await pushImage(registry, name(), undefined, { labels: { of: commit } })) as Digest;
    const found = await client.rawManifest(image(), digest);
    const entry = { mediaType: manifestTypes.ociImage, digest, size: found?.bytes.length ?? 0 };
    return {
      source: { repository: 'team/app', branch: 'main', path: '' },
      target: { name: 'app', folder: '', commit, image: image(), tag: commit.slice(0, 12) as Tag, movesLatest: true, facts: {} },
      options: {},
      entries: [{ image: entry }],
    };
  }

  /** Asks git, which answers once it is let go. */
  function waiting() {
    const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const isBefore: Sources['isBefore'] = async (_source, commit, other) => {
      asked.resolve();
      await gate.promise;
      return commits.indexOf(commit) < commits.indexOf(other);
    };
    return { isBefore, asked: asked.promise, letGo: gate.resolve };
  }
  const publishBy = (isBefore: Sources['isBefore'], uploads = new Uploads(connection)) =>
    createPublish({ sources: { isBefore }, registry: client, uploads });
  const atOnce = waiting();
  atOnce.letGo();

  it('stays with the newer commit that another worker has moved it to while git was asked', async () => {
    await publishBy(atOnce.isBefore)(await publicationOf(first));
    const { isBefore, asked, letGo } = waiting();
    const late = publishBy(isBefore)(await publicationOf(older));
    await asked;
    const { digest } = await publishBy(atOnce.isBefore)(await publicationOf(newer));
    letGo();
    const { tags, newerLatest } = await late;
    assert.deepEqual([tags, newerLatest], [[older.slice(0, 12)], newer]);
    assert.equal(await latest(), digest);
  });

  for (const order of [
    [older, newer],
    [newer, older],
  ])
    it(`is of the newer commit where one worker has ${order[0] === older ? 'the older one' : 'it'} first`, async () => {
      await publishBy(atOnce.isBefore)(await publicationOf(first));
      // Whatever is moved to the older commit takes its time.
      class SlowUploads extends Uploads {
        override async manifest(...[repository, reference, bytes, type]: Parameters<Uploads['manifest']>) {
          if (reference === 'latest' && bytes.includes(older)) await pause(300);
          return await super.manifest(repository, reference, bytes, type);
        }
      }
      const publish = publishBy(atOnce.isBefore, new SlowUploads(connection));
      const publications = await Promise.all(order.map(publicationOf));
      const published = await Promise.all(publications.map((publication) => publish(publication)));
      assert.equal(await latest(), published[order.indexOf(newer)]?.digest);
    });

  it('is moved by force, and given up where it is moved again and again', async () => {
    await publishBy(atOnce.isBefore)(await publicationOf(newer));
    const forced = await publishBy(atOnce.isBefore)({ ...(await publicationOf(older)), options: { force: true } });
    assert.equal(await latest(), forced.digest);
    let moves = 0;
    const restless = publishBy(async () => {
      const labels = { 'org.opencontainers.image.revision': first, move: `${++moves}` };
      await pushImage(registry, name(), 'latest', { labels });
      return false;
    });
    await assert.rejects(restless(await publicationOf(newer)), /was moved 10 times while it was looked at; it is tried again/);
    assert.equal(moves, 10);
  });
});
