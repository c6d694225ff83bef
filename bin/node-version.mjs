/** Which Node Landfall needs. Old versions run this file, so it must work on Node 18. The npm package contains it, too. */
import { readFileSync } from 'node:fs';

/** The oldest Node that will do, such as `22.19`: from `engines` in package.json. */
export const oldestNode = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).engines.node.slice(2);

const [oldestMajor = 0, oldestMinor = 0] = oldestNode.split('.').map(Number);

/** @param {string} [version] such as `24.21.0` */
export function isNodeNewEnough(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

export const howToInstall =
  "install it (https://nodejs.org/en/download; on macOS 'brew install node@24') and put it first on PATH";

export function tooOld() {
  return `Landfall needs Node ${oldestNode} or later, and this is ${process.versions.node}`;
}

/** For whoever has no npm script around it: ends the process where this Node is too old. */
export function requireNode() {
  if (isNodeNewEnough()) return;
  console.error(`${tooOld()}: 'npm start', 'npm test' and so on in a clone bring another; or ${howToInstall}`);
  process.exit(1);
}
