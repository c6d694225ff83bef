import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LayerCacheSettings } from '../../src/checks/scan/layer-cache.ts';
import type { Digest, Repository } from '../../src/domain/image-reference.ts';
import { findProcesses } from '../../src/platform/processes/identity.ts';
import { Registry as RegistryClient } from '../../src/platform/registry/registry.ts';
import { type HistoryEntry, pushLayers, type TestLayer } from './layered-images.ts';
import { type Registry, startRegistry } from './registry.ts';
import { type RegistryRelay, startRelay } from './registry-relay.ts';
import { type createScanner, scannersOfTests, type TestScanner } from './scanner.ts';
import { eventually } from './wait.ts';

export interface Image {
  readonly name: string;
  readonly digest: Digest;
}

export const npm = (name: string, version: string, more: Readonly<Record<string, string>> = {}): TestLayer => ({
  files: { ...more, [`app/node_modules/${name}/package.json`]: JSON.stringify({ name, version }) },
});
export const alpine: TestLayer = {
  files: {
    'etc/os-release': 'ID=alpine\nVERSION_ID=3.18.4\n',
    'lib/apk/db/installed': 'P:busybox\nV:1.36.1-r0\nA:x86_64\n\nP:zlib\nV:1.2.13-r1\nA:x86_64\n\n',
  },
};
export const secret: TestLayer = { files: { 'app/settings.py': 'AWS_ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPL3"\n' } };
export const harmful = npm('minimist', '1.2.5');
export const harmless = npm('minimist', '1.2.6');
export const critical = 'CVE-2021-44906';
export const copy: HistoryEntry = { created_by: 'COPY . /' };
export const command: HistoryEntry = { created_by: 'CMD ["sh"]', empty_layer: true };
const never = () => new AbortController().signal;

export function idsIn(found: {
  readonly Results?: readonly Record<string, readonly Record<string, string>[] | undefined>[];
}): readonly string[] {
  const all = (found.Results ?? []).flatMap(({ Vulnerabilities = [], Secrets = [] }) => [...Vulnerabilities, ...Secrets]);
  return all.map(({ VulnerabilityID, RuleID }) => VulnerabilityID ?? RuleID ?? '').sort();
}

/** A registry and scanners for the tests of a group, which are stopped after it. No test may leave a warning. */
export function layerScans() {
  let registry: Registry;
  // Gone before it is looked at what they warned of.
  const createKept = scannersOfTests();
  const relays: RegistryRelay[] = [];
  const warnings: string[] = [];
  const clientFor = (): LayerCacheSettings => ({
    registry: new RegistryClient({ credentials: async () => undefined, plainHttp: () => true }),
    log: { warn: (_, message) => void warnings.push(message) },
  });
  const scannerWith = (layers: Partial<LayerCacheSettings> = {}, options: Parameters<typeof createScanner>[0] = {}) =>
    createKept({ layers: { ...clientFor(), ...layers }, ...options });
  const forgetful = () => createKept();

  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry.stop());
  afterEach(async () => {
    await Promise.all(relays.splice(0).map((relay) => relay.stop()));
    assert.deepEqual(warnings.splice(0), []);
  });

  /** What the report says, without what is new in each. */
  const report = ({ trivy, artifacts }: TestScanner, image: Image, host = registry.host) =>
    artifacts.withWorkFolder(async (folder) => {
      const files = { report: join(folder, 'trivy.json'), sbom: join(folder, 'sbom.json') };
      await trivy.scan({ repository: `${host}/${image.name}` as Repository, digest: image.digest }, files, never());
      const { ReportID: _, CreatedAt: __, Trivy: ___, ...rest } = JSON.parse(await readFile(files.report, 'utf8'));
      return { ...rest, components: JSON.parse(await readFile(files.sbom, 'utf8')).components?.length };
    });
  const scan = async (scanner: TestScanner, image: Image, host?: string) => idsIn(await report(scanner, image, host));
  const push = async (name: string, layers: readonly TestLayer[], history?: readonly HistoryEntry[]): Promise<Image> => ({
    name,
    digest: await pushLayers(registry, name, layers, history),
  });
  const relayed = async (change?: Parameters<typeof startRelay>[1]): Promise<RegistryRelay> => {
    const relay = await startRelay(registry, change);
    relays.push(relay);
    return relay;
  };
  const processesOf = (cacheDir: string) => findProcesses(`--cache-dir ${join(cacheDir, 'layers')} --skip-db-update`);
  /** Also of the shell that watches the server, which is a moment behind it. */
  const allEnded = (cacheDir: string) =>
    eventually('the end of the server', async () => (await processesOf(cacheDir)).length === 0);
  /** Of the server itself, and not of the shell that watches it. */
  const serverOf = async ({ cacheDir }: TestScanner): Promise<number> => {
    const found = (await processesOf(cacheDir)).find(({ command: words }) => !words.includes('sh -c'));
    return found?.pid ?? assert.fail('no server runs');
  };
  return {
    host: () => registry.host,
    clientFor,
    warnings,
    scannerWith,
    forgetful,
    report,
    scan,
    push,
    relayed,
    processesOf,
    allEnded,
    serverOf,
  };
}
