import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { startBrowser } from '../../test/support/browser.ts';
import { createScene, type Scene, token } from './scene.ts';

interface Shot {
  readonly name: string;
  readonly path: (scene: Scene) => string;
  readonly scheme: 'light' | 'dark';
  readonly size: { readonly width: number; readonly height: number };
}

const desk = { width: 1180, height: 860 };
const phone = { width: 390, height: 800 };
const rollout = (id: string) => `/rollouts/${encodeURIComponent(id)}`;

const shots: readonly Shot[] = [
  { name: 'now-light', path: () => '/', scheme: 'light', size: desk },
  { name: 'now-dark', path: () => '/', scheme: 'dark', size: desk },
  { name: 'now-phone', path: () => '/', scheme: 'light', size: phone },
  { name: 'rollout-light', path: ({ approval }) => rollout(approval), scheme: 'light', size: desk },
  { name: 'rollout-dark', path: ({ rolledBack }) => rollout(rolledBack), scheme: 'dark', size: desk },
  { name: 'rollout-phone', path: ({ blocked }) => rollout(blocked), scheme: 'dark', size: phone },
];

/** In a README, more is a burden for whoever opens it. */
const mostBytes = 150 * 1024;

/** @returns the exit code */
export async function takeScreenshots(root: string): Promise<number> {
  const folder = join(root, 'docs', 'images');
  await mkdir(folder, { recursive: true });
  const scene = await createScene(console.log);
  const browser = await startBrowser();
  try {
    let isSmall = true;
    for (const shot of shots) isSmall = (await take(browser, scene, shot, folder)) <= mostBytes && isSmall;
    return isSmall ? 0 : 1;
  } finally {
    await browser.close();
    await scene.stop();
  }
}

async function take(browser: Browser, scene: Scene, { name, path, scheme, size }: Shot, folder: string): Promise<number> {
  const context = await browser.newContext({
    colorScheme: scheme,
    viewport: size,
    extraHTTPHeaders: { Authorization: `Bearer ${token}` },
  });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(`${scene.world.operators}${path(scene)}`);
  await page.locator('#live[data-state=live]').waitFor();
  const file = join(folder, `${name}.png`);
  await page.screenshot({ path: file });
  await context.close();
  const bytes = (await stat(file)).size;
  console.log(`${file}: ${Math.round(bytes / 1024)} KiB`);
  return bytes;
}
