import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plansFor } from '../../src/config/plans.ts';
import { fingerprintOf } from '../../src/domain/fingerprint.ts';
import { parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import { hasNewerPlan, readConfiguration } from '../../src/operations/index.ts';
import { product } from '../../src/product.ts';

describe('a configuration that was changed after a rollout began', () => {
  const context = { env: {}, loadKinds: async () => product };
  const image = { repository: parseRepository('ghcr.io/team/web'), tag: 'latest' as Tag };
  const text = 'services: [{ name: web, image: ghcr.io/team/web, tags: [latest], smoke: off, scan: { failOn: high } }]\n';
  let file: string;
  let plan: string;
  before(async () => {
    file = join(await mkdtemp(join(tmpdir(), 'landfall-newer-')), 'landfall.yaml');
    await writeFile(file, text);
    const [found] = plansFor(await readConfiguration(file, context), image.repository, image.tag);
    // As the workflow has it, which gets it by way of Temporal.
    plan = fingerprintOf(JSON.parse(JSON.stringify(found)) as object);
  });
  after(() => rm(join(file, '..'), { recursive: true }));

  const read = () => readConfiguration(file, context);
  const isNewer = async (written: string, service = 'web', began: string | undefined = plan) => {
    await writeFile(file, written);
    return await hasNewerPlan(read, { service, image, ...(began !== undefined && { plan: began }) });
  };

  it('is known by another plan for the same image and service', async () => {
    assert.equal(await isNewer(text), false);
    assert.equal(await isNewer(`# a comment\n${text}`), false);
    assert.equal(await isNewer(text.replace('high', 'low')), true);
  });

  it('is not claimed where the file is wrong, has no such service, or nobody knows what the rollout began with', async () => {
    const other = text.replace('high', 'low');
    assert.equal(await isNewer(text.replace('failOn', 'fail')), false);
    assert.equal(await isNewer(other, 'api'), false);
    assert.equal(await hasNewerPlan(read, { service: 'web', image }), false);
  });
});
