/** What comes from Debian and Ubuntu. */
import { answerOf, runSlowly } from './machine.mjs';

/**
 * All at once: one reading of the lists, and apt decides about everything together.
 * @param {import('./choices.mjs').Packages} wanted
 * @param {{ env: Record<string, string | undefined>, say: (line: string) => void }} context
 */
export async function installPackages({ packages, whereKnown = [] }, { env, say }) {
  const quiet = { env: { ...env, DEBIAN_FRONTEND: 'noninteractive' }, say };
  await runSlowly('reading the package lists (apt-get update)', 'apt-get', ['update'], quiet);
  const known = whereKnown.filter((name) => answerOf('apt-cache', ['show', name], env, 30_000) !== undefined);
  const all = [...packages, ...known];
  const install = ['install', '--yes', '--no-install-recommends', ...all];
  await runSlowly(`installing ${all.join(', ')} (apt-get)`, 'apt-get', install, quiet);
}
