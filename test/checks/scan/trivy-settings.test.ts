import assert from 'node:assert/strict';
import { trivySchema, trivySettings } from '../../../src/checks/scan/index.ts';

describe('the section trivy', () => {
  const folders = { baseDir: '/etc/landfall', data: '/var/lib/landfall' };

  it('fills in every default of an empty one', () => {
    assert.deepEqual(trivySettings(trivySchema.parse({}), folders), { offline: false, cacheDir: '/var/lib/landfall/trivy' });
  });

  it('takes the size of what is remembered of layers, or off', () => {
    assert.deepEqual(
      ['1m', 'off'].map((layers) => trivySchema.parse({ layers }).layers),
      [1024 ** 2, 'off'],
    );
    assert.throws(() => trivySchema.parse({ layers: 'none' }), /expected off or a size such as 512m or 2g/);
  });

  it('makes a cache folder absolute, and keeps the rest as it is', () => {
    assert.deepEqual(trivySettings({ command: 'trivy', cacheDir: 'cache', offline: true }, folders), {
      command: 'trivy',
      offline: true,
      cacheDir: '/etc/landfall/cache',
    });
  });
});
