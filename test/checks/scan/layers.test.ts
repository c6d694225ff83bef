import assert from 'node:assert/strict';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readLayers } from '../../../src/checks/scan/image-layers.ts';
import type { Repository } from '../../../src/domain/image-reference.ts';
import { alpine, command, copy, critical, harmful, harmless, idsIn, layerScans, npm, secret } from '../../support/layer-scans.ts';
import { blobOf, diffIdOf, type HistoryEntry } from '../../support/layered-images.ts';

describe('layers', function () {
  this.timeout(60_000);
  const { host, clientFor, warnings, scannerWith, forgetful, report, scan, push, relayed, allEnded } = layerScans();

  it('are looked through once, also after a restart, and reports are the same as without that', async () => {
    const relay = await relayed();
    const first = await scannerWith();
    const [one, two] = [
      [alpine, harmful, secret],
      [alpine, harmful, npm('ms', '1.0.0')],
    ];
    const old = await push('team/once', one);
    const found = await report(first, old, relay.host);
    assert.deepEqual(idsIn(found), [critical, 'CVE-2022-48174', 'CVE-2023-45853', 'aws-access-key-id']);
    assert.deepEqual(await report(first, old, relay.host), found);
    await first.trivy.stop();
    await allEnded(first.cacheDir);
    const second = await scannerWith({}, { database: false });
    await rename(first.cacheDir, second.cacheDir);
    const next = await push('team/once', two);
    const shared = await report(second, next, relay.host);
    const counts = [...one, ...two.slice(2)].map((layer) => relay.asked(blobOf(layer)));
    assert.deepEqual(counts, [1, 1, 1, 1]);
    const other = await forgetful();
    assert.deepEqual(await report(other, old, relay.host), found);
    assert.deepEqual(await report(other, next, relay.host), shared);
  });

  it('are shared by scans at the same time', async () => {
    const scanner = await scannerWith();
    const images = [];
    for (const name of ['a', 'b', 'c']) images.push(await push(`team/${name}`, [alpine, harmful, npm(name, '1.0.0')]));
    const found = await Promise.all(images.map((image) => scan(scanner, image)));
    assert.deepEqual(found, Array(3).fill([critical, 'CVE-2022-48174', 'CVE-2023-45853']));
  });

  it('have their secrets where they are not of a base image, in which Trivy looks for none, whichever is scanned first', async () => {
    const base = await push('team/base', [secret, harmful], [copy, command, copy]);
    const own = await push('team/own', [secret, harmful], [copy, copy, command]);
    const other = await forgetful();
    const expected = new Map([
      [base, await report(other, base)],
      [own, await report(other, own)],
    ]);
    assert.deepEqual([...expected.values()].map(idsIn), [[critical], [critical, 'aws-access-key-id']]);
    for (const order of [
      [base, own],
      [own, base],
    ]) {
      const shared = await scannerWith();
      for (const image of order) assert.deepEqual(await report(shared, image), expected.get(image));
    }
  });

  it('are of a base image where Trivy takes them for that, by the history', async () => {
    const scanner = await forgetful();
    const layers = [1, 2, 3].map((n) => ({ files: { [`app/${n}.py`]: 'AWS_ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPL3"\n' } }));
    const empty = (created_by: string): HistoryEntry => ({ created_by, empty_layer: true });
    const histories: Record<string, readonly HistoryEntry[]> = {
      '123': [copy, copy, copy, command],
      '3': [copy, command, copy, empty('/bin/sh -c #(nop)  CMD ["sh"]'), copy],
      '23': [
        copy,
        command,
        copy,
        empty('/bin/sh -c #(nop) CMD ["sh"]'),
        { created_by: 'CMD' },
        empty('ENTRYPOINT ["x"]'),
        command,
      ],
    };
    for (const [secrets, history] of Object.entries(histories)) {
      const image = await push('team/history', layers, history);
      const known = await readLayers(clientFor().registry, `${host()}/${image.name}` as Repository, image.digest);
      const own = known?.flatMap(({ content }, index) => (content.includes('"isBase":false') ? [index + 1] : []));
      const { Results = [] } = await report(scanner, image);
      const found: readonly string[] = Results.map(({ Target }: { readonly Target: string }) => Target.slice(5, 6));
      assert.deepEqual([own?.join(''), found.toSorted().join('')], [secrets, secrets]);
    }
  });

  it('are not taken for what an image claims them to be', async () => {
    const relay = await relayed();
    const scanner = await scannerWith();
    const claim = diffIdOf(harmful);
    const poisons = [];
    for (const version of ['1', '2', '3', '4'])
      poisons.push(await push('team/poison', [{ ...npm('minimist', `1.2.6${version}`), claim }]));
    const honest = await push('team/honest', [harmful]);
    // One partition for each, and none is left for the honest one.
    for (const poison of poisons) assert.deepEqual(await scan(scanner, poison), []);
    assert.deepEqual(await scan(scanner, honest, relay.host), [critical]);
    const twice = await push('team/twice', [harmful, { ...harmless, claim }]);
    assert.deepEqual(await scan(scanner, twice), [critical]);
    // Another registry, so other partitions: the honest one came first there.
    assert.deepEqual(await scan(scanner, poisons[0] ?? assert.fail(), relay.host), []);
    assert.deepEqual(await scan(scanner, honest, relay.host), [critical]);
    assert.equal(relay.asked(blobOf(harmful)), 1);
  });

  it('are not shared across accounts, indexes of archives and weeks, or what somebody made of the records', async () => {
    const relay = await relayed();
    const { cacheDir } = await scannerWith();
    const image = await push('team/records', [harmful]);
    const records = join(cacheDir, 'layers', 'records');
    const asked = async (username?: string, now = new Date()) => {
      const credentials = async () => (username === undefined ? undefined : { username, password: 'p' });
      const scanner = await scannerWith({ now: () => now }, { cacheDir, database: false, credentials });
      assert.deepEqual(await scan(scanner, image, relay.host), [critical]);
      await scanner.trivy.stop();
      return relay.asked(blobOf(harmful));
    };
    assert.deepEqual([await asked(), await asked(), await asked('ann'), await asked('bob'), await asked('ann')], [1, 1, 2, 3, 3]);
    for (const name of await readdir(records, { recursive: true }))
      if (name.includes('/sha256-')) await writeFile(join(records, name), '');
    assert.equal(await asked(), 4);
    await rm(records, { recursive: true });
    assert.equal(await asked(), 5);
    // By which Trivy knows what is in archives, while it looks through a layer.
    const index = join(cacheDir, 'java-db');
    await mkdir(index);
    await writeFile(join(index, 'trivy-java.db'), '');
    const times = { UpdatedAt: '2026-01-01T00:00:00Z', NextUpdate: '2099-01-01T00:00:00Z' };
    await writeFile(join(index, 'metadata.json'), JSON.stringify(times));
    assert.equal(await asked(), 6);
    const inAWeek = new Date(Date.now() + 7 * 24 * 60 * 60_000);
    assert.deepEqual([await asked(undefined, inAWeek), await asked(undefined, inAWeek)], [7, 7]);
  });

  it('of a registry that lies are refused, and nothing of them is kept', async () => {
    const [manifest, config] = [Buffer.from('{"schemaVersion":2,"layers":[]}'), Buffer.from('{"rootfs":{}}')];
    const scanner = await scannerWith();
    const layer = await push('team/lies', [harmful]);
    let lie: (path: string) => Buffer | undefined = () => undefined;
    const relay = await relayed((path) => lie(path));
    const lies: Record<string, [(path: string) => Buffer | undefined, RegExp]> = {
      'of the manifest': [(path) => (path.includes('/manifests/') ? manifest : undefined), /should have the digest/],
      'of the configuration': [
        (path) => (path.includes('/blobs/') && !path.endsWith(blobOf(harmful)) ? config : undefined),
        /should have the digest/,
      ],
      'of a layer': [(path) => (path.endsWith(blobOf(harmful)) ? Buffer.from('short') : undefined), /Trivy ended/],
    };
    for (const [what, [told, expected]] of Object.entries(lies)) {
      lie = told;
      await assert.rejects(scan(scanner, layer, relay.host), expected, what);
    }
    lie = () => undefined;
    assert.deepEqual(await scan(scanner, layer, relay.host), [critical]);
  });

  it('are not kept of a registry without TLS, unless it is here', async () => {
    const scanner = await scannerWith();
    const image = await push('team/plain', [harmful]);
    await assert.rejects(scan(scanner, image, 'registry.invalid:5000'));
    assert.match(warnings.splice(0).join('\n'), /^registry\.invalid:5000 is spoken to without TLS, .*; meanwhile .*$/);
    await allEnded(scanner.cacheDir);
  });

  it('are not kept where Trivy runs as an image, or another server keeps them, and a warning says so', async () => {
    await scannerWith({}, { command: { image: 'aquasec/trivy' } });
    await scannerWith({}, { server: 'http://127.0.0.1:9' });
    const [image, server, ...more] = warnings.splice(0);
    assert.match(
      image ?? '',
      /^what Trivy finds in layers is not kept, because Trivy runs as an image: every layer of every image/,
    );
    assert.match(server ?? '', /^trivy\.server remembers layers by what images claim of them/);
    assert.deepEqual(more, []);
  });
});
