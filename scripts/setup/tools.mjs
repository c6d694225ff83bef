/** Which tools a purpose needs, which of them are missing, and what is chosen for each. */
import { readFileSync } from 'node:fs';
import { cachedTool, cachedVersions, findOnPath, findTool, isExecutable, olderTemporal } from '../../src/platform/tools.mjs';
import {
  chooseCompose,
  chooseDocker,
  chooseKubernetes,
  choosePackage,
  chooseTemporal,
  chooseTemporalVersions,
  chooseTrivy,
  hubImages,
} from './choices.mjs';
import { canBuildSeccomp, seccompPackages } from './go-programs.mjs';
import { findNetworkPlugins, hasKubernetes, hasRuntime } from './kubernetes.mjs';
import { answerOf, dockerServerVersion, hasApt, isRoot, SetUpFailure } from './machine.mjs';

/**
 * @typedef {'temporal' | 'temporal-versions' | 'docker' | 'docker-compose' | 'trivy' | 'git' | 'docker-registry' | 'skopeo' | 'busybox' | 'openssl' | 'chromium' | 'promtool' | ClusterTool} SetUpTool
 * @typedef {'etcd' | 'network-plugins' | 'kubernetes'} ClusterTool what a Kubernetes node takes; `network-plugins` give pods their network
 * @typedef {'check' | 'start' | 'run' | 'demo' | 'test' | 'cluster-demo' | 'cluster-test'} Purpose
 * @typedef {Record<string, string | undefined>} Environment
 */

const demo = /** @type {const} */ (['docker', 'git', 'busybox', 'docker-registry', 'trivy', 'docker-compose', 'temporal']);
const test = /** @type {const} */ ([
  'docker',
  'git',
  'openssl',
  'busybox',
  'docker-registry',
  'skopeo',
  'trivy',
  'docker-compose',
  'temporal',
  'temporal-versions',
  'chromium',
  'promtool',
]);
const cluster = /** @type {const} */ (['etcd', 'network-plugins', 'kubernetes']);

/**
 * In the order in which they are had: Trivy and others may come as images, so Docker is first.
 * @type {Readonly<Record<Purpose, readonly SetUpTool[]>>}
 */
export const toolsFor = Object.freeze({
  check: [],
  start: ['docker', 'temporal', 'git', 'trivy'],
  // `landfall run` where nothing is installed, such as a job of GitHub Actions: unlike `start`, it is brought what it lacks.
  run: ['docker', 'git', 'trivy', 'temporal'],
  demo,
  test,
  'cluster-demo': [...demo, 'openssl', ...cluster],
  'cluster-test': [...test, ...cluster],
});

/**
 * @param {SetUpTool} tool
 * @param {Environment} env
 * @returns {boolean}
 */
export function isPresent(tool, env) {
  if (tool === 'temporal-versions')
    return [cachedVersions.temporal, olderTemporal].every((version) => isExecutable(cachedTool('temporal', env, version)));
  if (tool === 'etcd' || tool === 'promtool') return findOnPath(tool, env) !== undefined;
  if (tool === 'network-plugins') return findNetworkPlugins() !== undefined;
  if (tool === 'kubernetes') return hasKubernetes(env);
  const found = find(tool, env);
  if (tool === 'docker') return dockerServerVersion(found, env) !== undefined;
  if (found !== undefined && (tool !== 'busybox' || isStatic(readFileSync(found)))) return true;
  // With a cluster of one's own, nothing of Temporal's has to run here.
  if (tool === 'temporal' && env.TEMPORAL_ADDRESS) return true;
  const image = hubImages[tool];
  return image !== undefined && hasImage(image, env);
}

/**
 * @param {Exclude<SetUpTool, 'temporal-versions' | 'promtool' | ClusterTool>} tool
 * @param {Environment} env
 * @throws {SetUpFailure} where the environment names something that cannot be run
 */
function find(tool, env) {
  try {
    return findTool(tool, env);
  } catch (error) {
    throw new SetUpFailure(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/**
 * Whether a Linux program needs no loader: only then does it run in an image that holds nothing else. Debian has both kinds of busybox.
 * @param {Buffer} program
 * @returns {boolean}
 */
export function isStatic(program) {
  return !/\/lib(?:64)?\/ld-/.test(program.subarray(0, 4096).toString('latin1'));
}

/**
 * @param {string} image
 * @param {Environment} env
 */
function hasImage(image, env) {
  const docker = findTool('docker', env);
  return docker !== undefined && answerOf(docker, ['image', 'inspect', '--format', '{{.Id}}', image], env, 10_000) !== undefined;
}

/**
 * @param {SetUpTool} tool
 * @param {Purpose} purpose
 * @param {Environment} env
 * @returns {Promise<import('./choices.mjs').Choice>}
 */
export async function choose(tool, purpose, env) {
  const root = isRoot();
  const { platform } = process;
  // Only the demo and the tests may install system packages; whoever starts the service decides about their machine themselves.
  const aptAllowed = root && hasApt(env) && /(?:demo|test)$/.test(purpose);
  const goFound = findOnPath('go', env) !== undefined;
  const dockerReachable = isPresent('docker', env);
  switch (tool) {
    case 'docker':
      return chooseDocker({ platform, root, aptAllowed, dockerdFound: findTool('dockerd', env) !== undefined });
    case 'docker-compose':
      return chooseCompose({ platform, goFound });
    case 'temporal': {
      const sdkDownloadReachable = await answers('https://temporal.download');
      return chooseTemporal({ platform, goFound, pipFound: hasPip(env), aptAllowed, sdkDownloadReachable });
    }
    case 'temporal-versions':
      return chooseTemporalVersions({ platform, pipFound: hasPip(env), aptAllowed });
    case 'trivy':
      return chooseTrivy({ platform, pipFound: hasPip(env), aptAllowed, dockerReachable });
    case 'kubernetes': {
      const isReady = hasRuntime(env) || canBuildSeccomp(env);
      return chooseKubernetes({ platform, root, goFound, aptAllowed, seccompPackages: isReady ? [] : seccompPackages });
    }
    default:
      return choosePackage(tool, { platform, aptAllowed, dockerReachable });
  }
}

/** @param {Environment} env */
function hasPip(env) {
  return answerOf('python3', ['-m', 'pip', '--version'], env, 10_000) !== undefined;
}

/**
 * Whether anything at all answers there within 3 s.
 * @param {string} url
 */
async function answers(url) {
  try {
    await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(3000) });
    return true;
  } catch {
    // Refused, no such name, too slow: for the choice they are the same.
    return false;
  }
}
