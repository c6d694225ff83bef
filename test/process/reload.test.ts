import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Configuration } from '../../src/config/configuration.ts';
import { loadConfiguration } from '../../src/config/load.ts';
import { type CurrentConfiguration, reloadOnChange } from '../../src/process/reload.ts';
import { product } from '../../src/product.ts';
import { eventually } from '../support/wait.ts';

const serving = (name: string) => `services: [{ name: ${name}, image: "ghcr.io/team/${name}" }]\n`;

describe('a configuration that is read again', () => {
  let folder: string;
  let file: string;
  let stop: () => Promise<void>;
  const said: string[] = [];
  const served: string[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-reload-'));
    file = join(folder, 'landfall.yaml');
    for (const list of [said, served]) list.length = 0;
    await writeFile(file, serving('one'));
  });
  afterEach(async () => {
    await stop();
    await rm(folder, { recursive: true });
  });

  const started = (): CurrentConfiguration => {
    const loaded = loadConfiguration(file, {}, product);
    assert.ok('configuration' in loaded);
    return { configuration: loaded.configuration };
  };
  const watch = (current: CurrentConfiguration): void => {
    const apply = async (configuration: Configuration) => {
      current.configuration = configuration;
      served.push(configuration.services.map(({ name }) => name).join());
    };
    const say = (fields: object, message: string) => void said.push(`${message} ${JSON.stringify(fields)}`);
    const watching = { current, env: {}, own: ['api'], apply, told: () => undefined, everyMs: 10 } as const;
    stop = reloadOnChange({ ...watching, log: { info: say, error: say } });
  };

  it('is served also where it was changed between the start, which has read it, and the first look', async () => {
    const current = started();
    await writeFile(file, serving('two'));
    watch(current);
    await eventually('the change', async () => served.includes('two'));
  });

  it('is read once for each change', async () => {
    watch(started());
    await writeFile(file, serving('three'));
    await eventually('the change', async () => served.length > 0);
    await writeFile(file, serving('four'));
    await eventually('the next', async () => served.length > 1);
    assert.deepEqual(served, ['three', 'four']);
  });

  it('is refused while it is empty, as a full disk or half a write leaves it, which would end every service', async () => {
    watch(started());
    await writeFile(file, '');
    process.emit('SIGHUP');
    await eventually('the refusal', async () => said.length > 0);
    assert.match(said[0] ?? '', /is refused: the one before goes on .*landfall\.yaml is empty: write it again/);
    assert.equal(served.length, 0);
    await writeFile(file, serving('five'));
    await eventually('what is written then', async () => served.includes('five'));
  });
});
