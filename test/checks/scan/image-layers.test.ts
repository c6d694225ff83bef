import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { layersIn } from '../../../src/checks/scan/image-layers.ts';
import { createLayerRecords } from '../../../src/checks/scan/layer-records.ts';
import type { Digest } from '../../../src/domain/image-reference.ts';
import { command, copy } from '../../support/layer-scans.ts';

describe('records of layers', () => {
  it('are of the first of two that claim the same at the same time, also of two processes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-records-'));
    try {
      const records = [1, 2].map(() => createLayerRecords(folder));
      for (let round = 0; round < 20; round++) {
        const names = await Promise.all(
          records.map((each, index) => each.partitionFor([round], [{ diffId: 'sha256:a', content: `${index}` }])),
        );
        assert.equal(new Set(names).size, 2, `round ${round}: ${names}`);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('the layers of an image', () => {
  const blobs = [1, 2].map((size) => ({ mediaType: 'layer', digest: `sha256:${`${size}`.repeat(64)}` as Digest, size }));
  const [one, two] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}`);
  const layers = (config: object | string) =>
    layersIn(Buffer.from(typeof config === 'string' ? config : JSON.stringify(config)), blobs);
  const rootfs = { type: 'layers', diff_ids: [one, two] };
  const history = [copy, command, copy];

  it('are told apart by what is claimed, what they are, and whether they are of a base image', () => {
    const [base, own] = layers({ rootfs, history }) ?? [];
    assert.deepEqual([base?.diffId, own?.diffId], [one, two]);
    assert.match(base?.content ?? '', /"digest":"sha256:1{64}".*"isBase":true/);
    assert.match(own?.content ?? '', /"digest":"sha256:2{64}".*"isBase":false/);
    assert.match(layers({ rootfs, history: [copy, copy, command] })?.[0]?.content ?? '', /"isBase":false/);
    assert.equal(layers({ rootfs })?.length, 2);
  });

  it('are none that is known again where Trivy might read another image', () => {
    const text = JSON.stringify({ rootfs, history });
    const odd: Record<string, object | string> = {
      'fewer claims than layers': { rootfs: { ...rootfs, diff_ids: [one] } },
      'more claims than layers': { rootfs: { ...rootfs, diff_ids: [one, two, two] } },
      'one claim for two layers': { rootfs: { ...rootfs, diff_ids: [one, one] } },
      'another history than layers': { rootfs, history: [copy, command] },
      'a claim by another hash': { rootfs: { ...rootfs, diff_ids: [one, 'sha512:aa'] } },
      'a key twice': text.replace('"history":', `"rootfs":{"diff_ids":[]},"history":`),
      'a key in another case': text.replace('"history"', '"History"'),
      'a key with a long s': text.replace('"history"', '"hiſtory"'),
      'a key within twice': text.replace('"type":', `"diff_ids":["${two}","${one}"],"type":`),
      'a key within in another case': text.replace('"type":', `"Diff_IDs":["${two}","${one}"],"type":`),
      'an entry with a key in another case': text.replace('"empty_layer":true', '"Empty_Layer":true'),
      'no JSON': `${text}}`,
      'no claims': { history },
    };
    for (const [what, config] of Object.entries(odd)) assert.equal(layers(config), undefined, what);
  });
});
