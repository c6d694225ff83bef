import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type Logger, type WorkflowBundleOption } from '@temporalio/worker';
import { codeOf } from '../domain/errors.ts';
import { readTextIfThere, writeDurably } from '../platform/files/durable-file.ts';

/** The workflows as Temporal's workers take them: bundled by the build where this runs from one, else from the sources. */
export async function findWorkflowBundle(): Promise<WorkflowBundleOption> {
  const built = fileURLToPath(new URL('../../workflow-bundle.js', import.meta.url));
  if (existsSync(built)) return { codePath: built };
  return { code: await bundleOf(fileURLToPath(new URL('../..', import.meta.url))) };
}

/**
 * Bundling takes seconds, so a bundle is kept in node_modules until one of the sources, or a package, is another.
 * @param checkout has `src` and `node_modules`
 * @returns the code
 */
export async function bundleOf(checkout: string): Promise<string> {
  const folder = join(checkout, 'node_modules/.cache/landfall');
  const hash = await sourcesHash(checkout);
  const kept = join(folder, `workflows-${hash}.js`);
  const known = await readTextIfThere(kept);
  if (known !== undefined) return known;
  const code = await bundleWorkflows(join(checkout, 'src/workflows/index.ts'), new DefaultLogger('WARN'));
  // What was changed while it was read belongs to neither hash.
  if ((await sourcesHash(checkout)) === hash) await keep(folder, kept, code);
  return code;
}

/** Of every source, because which of them workflows import is found out by bundling only. */
async function sourcesHash(checkout: string): Promise<string> {
  const hash = createHash('sha256').update((await readTextIfThere(join(checkout, 'node_modules/.package-lock.json'))) ?? '');
  const names = await readdir(join(checkout, 'src'), { recursive: true });
  for (const name of names.filter((each) => /\.m?[jt]s$/.test(each)).sort())
    hash.update(`\n${name}\n`).update(await readFile(join(checkout, 'src', name)));
  return hash.digest('hex').slice(0, 16);
}

/** A checkout that may not be written to has its workflows bundled at each start. */
async function keep(folder: string, file: string, code: string): Promise<void> {
  try {
    await writeDurably(file, code);
    const older = (await readdir(folder)).filter((name) => /^workflows-\w+\.js$/.test(name) && !file.endsWith(name));
    for (const name of older) await rm(join(folder, name), { force: true });
  } catch (error) {
    if (!['EACCES', 'EROFS', 'EPERM'].includes(String(codeOf(error)))) throw error;
  }
}

/**
 * @param workflows the file that exports them, with the interceptor beside it
 * @returns the code @throws where one of them reaches for something that is not deterministic
 */
export async function bundleWorkflows(workflows: string, logger: Logger): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: workflows,
    workflowInterceptorModules: [join(dirname(workflows), `sealed${extname(workflows)}`)],
    logger,
    // A stack has the places in the sources all the same. Their text would be in memory some five times.
    webpackConfigHook: (config) => ({ ...config, devtool: 'inline-nosources-source-map' }),
  });
  return code;
}
