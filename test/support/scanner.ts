import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTrivy, type Trivy, type TrivyOptions } from '../../src/checks/scan/trivy.ts';
import { Artifacts } from '../../src/platform/artifacts.ts';
import { findTool } from '../../src/platform/tools.mjs';

/** The database of five advisories: see advisories.json there. */
export const testDatabase = fileURLToPath(new URL('./trivy-db/db', import.meta.url));

export interface TestScanner {
  readonly trivy: Trivy;
  readonly artifacts: Artifacts;
  readonly cacheDir: string;
  readonly options: TrivyOptions;
  remove(): Promise<void>;
}

/** The real Trivy, with a cache and an artifacts folder of its own; `database: false` leaves the cache empty. */
export async function createScanner(options: Partial<TrivyOptions> & { readonly database?: boolean } = {}): Promise<TestScanner> {
  const { database = true, ...overrides } = options;
  const folder = await mkdtemp(join(tmpdir(), 'landfall-scanner-'));
  const cacheDir = join(folder, 'cache');
  if (database) await cp(testDatabase, join(cacheDir, 'db'), { recursive: true });
  const artifacts = new Artifacts(join(folder, 'artifacts'));
  const all: TrivyOptions = {
    command: [trivyProgram()],
    cacheDir,
    offline: true,
    plainHttp: () => true,
    credentials: async () => undefined,
    env: { PATH: process.env.PATH, HOME: folder },
    ...overrides,
  };
  const trivy = createTrivy(all);
  return {
    trivy,
    artifacts,
    cacheDir,
    options: all,
    async remove() {
      await trivy.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** How the tests of one file make scanners, which are gone after each test. Call it inside of `describe`. */
export function scannersOfTests(): typeof createScanner {
  const scanners: TestScanner[] = [];
  afterEach(async () => {
    await Promise.all(scanners.splice(0).map((scanner) => scanner.remove()));
  });
  return async (options) => {
    const scanner = await createScanner(options);
    scanners.push(scanner);
    return scanner;
  };
}

export function trivyProgram(): string {
  const found = findTool('trivy', process.env);
  if (found === undefined) throw new Error('these tests need Trivy: npm test sets it up');
  return found;
}
