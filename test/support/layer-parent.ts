/** A process that scans an image and then lives on, for a test to kill: `node layer-parent.ts CACHE-FOLDER IMAGE`. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseReference } from '../../src/domain/image-reference.ts';
import { Registry } from '../../src/platform/registry/registry.ts';
import { createScanner } from './scanner.ts';

const [cacheDir = '', image = ''] = process.argv.slice(2);
const { repository, digest } = parseReference(image);
if (digest === undefined) throw new Error(`expected an image with a digest, found ${image}`);
const registry = new Registry({ credentials: async () => undefined, plainHttp: () => true });
const { trivy } = await createScanner({
  cacheDir,
  database: false,
  layers: { registry, log: { warn: (_, message) => console.error(message) } },
});
const folder = await mkdtemp(join(tmpdir(), 'landfall-layer-parent-'));
await trivy.scan(
  { repository, digest },
  { report: join(folder, 'trivy.json'), sbom: join(folder, 'sbom.json') },
  new AbortController().signal,
);
process.stdout.write('scanned\n');
setInterval(() => undefined, 60_000);
