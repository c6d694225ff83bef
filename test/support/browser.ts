import assert from 'node:assert/strict';
import axe, { type AxeResults } from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { findTool } from '../../src/platform/tools.mjs';

/** Debian's Chromium, without a screen. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = findTool('chromium', process.env);
  if (executablePath === undefined) throw new Error('chromium is missing: run `node scripts/setup.mjs`');
  // As root it cannot have its sandbox, and in a container no shared memory to speak of.
  return await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] });
}

/** What axe finds serious or worse, as sentences. */
export async function seriousProblems(page: Page): Promise<string[]> {
  // By the debugger's door: the page's own policy lets no other script in.
  const found = await page.evaluate<AxeResults>(
    `(() => { ${axe.source}; return axe.run(document, { resultTypes: ['violations'] }); })()`,
  );
  const serious = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return serious.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map(({ target }) => target.join(' ')).join('; ')})`);
}

/** Fails with whatever a page complains about: a script that was refused, a file that is missing, an error. */
export function watchPage(page: Page): { readonly problems: string[]; assertQuiet(): void } {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('request', (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol.startsWith('http') && hostname !== '127.0.0.1') problems.push(`asked ${request.url()}`);
  });
  return { problems, assertQuiet: () => assert.deepEqual(problems, []) };
}
