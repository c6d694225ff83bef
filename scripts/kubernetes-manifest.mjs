#!/usr/bin/env node
/**
 * deploy/kubernetes/landfall.yaml is what Helm makes of the chart beside it, for who has no Helm: `npm run manifest` writes it. With `--check`
 * it says whether that was done after the last change: by a sum of both, since Helm is not everywhere where this is checked.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { helmProgram } from './setup/helm.mjs';

const folder = fileURLToPath(new URL('../deploy/kubernetes/', import.meta.url));
export const chart = join(folder, 'chart');
const file = join(folder, 'landfall.yaml');

/** Beside what the chart makes: a namespace in which no pod may do more than the chart's. */
const namespace = `apiVersion: v1
kind: Namespace
metadata:
  name: landfall
  labels: { pod-security.kubernetes.io/enforce: restricted }
`;

/**
 * @param {string} helm its path
 * @returns {string} the manifest, but for its first line
 */
export function renderManifest(helm) {
  const rendered = execFileSync(helm, ['template', 'landfall', chart, '--namespace', 'landfall'], { encoding: 'utf8' });
  return `# What docs/kubernetes.md says of the chart's values can be changed here by hand.\n${namespace}${rendered}`;
}

/** @param {string} manifest but for its first line */
function firstLine(manifest) {
  const sum = createHash('sha256').update(manifest);
  for (const name of readdirSync(chart, { recursive: true, encoding: 'utf8' }).sort())
    if (/\.\w+$/.test(name)) sum.update(name).update(readFileSync(join(chart, name)));
  return `# Made from chart/ by npm run manifest, sum ${sum.digest('hex').slice(0, 16)}.\n`;
}

/** @param {string} text of the whole manifest */
export function isCurrent(text) {
  const rest = text.slice(text.indexOf('\n') + 1);
  return text === `${firstLine(rest)}${rest}`;
}

export const readManifest = () => readFileSync(file, 'utf8');

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes('--check')) {
    if (!isCurrent(readManifest())) {
      console.error('deploy/kubernetes/landfall.yaml is not what its chart makes now: run npm run manifest, and commit it');
      process.exitCode = 1;
    }
  } else {
    const manifest = renderManifest(await helmProgram({ env: process.env, say: console.error }));
    writeFileSync(file, `${firstLine(manifest)}${manifest}`);
  }
}
