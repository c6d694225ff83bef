/** What set-up learns about the machine, and how it runs programs on it. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { findOnPath } from '../../src/platform/tools.mjs';

/** @typedef {Record<string, string | undefined>} Environment */
/** @typedef {(line: string) => void} Say */

/** Set-up cannot go on, and the message is all there is to say: a stack would add nothing. */
export class SetUpFailure extends Error {}

/** Tells what set-up does, on the standard error output. */
export const say = (/** @type {string} */ line) => console.error(`set-up: ${line}`);

/**
 * For programs in Go that share the machine with tests or the demo, and what they start: they keep to one core (else each keeps another awake to look
 * for work: a quarter of what Docker 29 took for the same containers), and memory may grow by 500 percent before they collect it. Docker, containerd,
 * runc, Compose, Temporal's server and Trivy are all of them, and most live for less than a second. Not for a compiler.
 */
export const sparingGo = Object.freeze({ GOMAXPROCS: '1', GOGC: '500' });

/** @returns {boolean} */
export function isRoot() {
  return process.getuid?.() === 0;
}

/**
 * Debian, Ubuntu and what names one of them in ID_LIKE.
 * @param {string} osRelease the text of /etc/os-release
 * @returns {boolean}
 */
export function isDebianLike(osRelease) {
  return /^ID(?:_LIKE)?=.*\b(?:debian|ubuntu)\b/m.test(osRelease);
}

/**
 * @param {Environment} env
 * @returns {boolean}
 */
export function hasApt(env) {
  const file = '/etc/os-release';
  return existsSync(file) && isDebianLike(readFileSync(file, 'utf8')) && findOnPath('apt-get', env) !== undefined;
}

/**
 * The version of the engine that Docker's own rules lead to (DOCKER_HOST, else the current context), or undefined where none answers.
 * @param {string | undefined} docker
 * @param {Environment} env
 * @returns {string | undefined}
 */
export function dockerServerVersion(docker, env) {
  if (docker === undefined) return undefined;
  return answerOf(docker, ['version', '--format', '{{.Server.Version}}'], env, 10_000);
}

/**
 * What a quick command prints, or undefined where it fails.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Environment} env
 * @param {number} timeout milliseconds
 * @returns {string | undefined}
 */
export function answerOf(command, args, env, timeout) {
  const { status, stdout } = spawnSync(command, [...args], {
    env,
    timeout,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const answer = stdout?.trim();
  return status === 0 && answer ? answer : undefined;
}

/**
 * Runs something slow: says what is going on, every 15 s that it still is, and shows the output only where it fails.
 * @param {string} what
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env: Environment, say: Say, cwd?: string }} options
 * @returns {Promise<void>}
 */
export async function runSlowly(what, command, args, { env, say, cwd }) {
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  say(`${what} ...`);
  const progress = setInterval(() => say(`  still at it after ${seconds()} s: ${what}`), 15_000);
  try {
    const { code, output } = await runToEnd(command, args, env, cwd);
    if (code !== 0)
      throw new SetUpFailure(`${what} failed: '${command} ${args.join(' ')}' ended with ${code}:\n${essenceOf(output)}`);
    say(`  done after ${seconds()} s`);
  } finally {
    clearInterval(progress);
  }
}

/**
 * What a person needs of a failed command's output: npm says first what is wrong, and then much else; others say it last.
 * @param {string} output
 * @returns {string}
 */
export function essenceOf(output) {
  const errors = output.split('\n').filter((line) => /^npm (?:error|ERR!)/.test(line));
  return errors.length > 0 ? errors.slice(0, 8).join('\n') : output.slice(-4000);
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Environment} env
 * @param {string} [cwd]
 * @returns {Promise<{ code: number | string | null, output: string }>}
 */
function runToEnd(command, args, env, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (/** @type {Buffer} */ chunk) => {
      output = (output + chunk.toString()).slice(-200_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code: signal ?? code, output }));
  });
}

/**
 * @param {number} pid
 * @returns {boolean}
 */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, but belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

const namespace = '/proc/self/ns/pid';

/**
 * Names this process for others on the machine (see `hasEnded`), of which some see other process ids: in a container, and beside the current engine.
 * @returns {string} as `4026531836-1234`
 */
export function processName() {
  return `${processNamespace()}-${process.pid}`;
}

/**
 * @param {string} name of a process, by `processName`
 * @returns {boolean} false also where it cannot be known
 */
export function hasEnded(name) {
  return name.startsWith(`${processNamespace()}-`) && !isAlive(pidOf(name));
}

/** @param {string} name of a process, by `processName` */
export function pidOf(name) {
  return Number(name.slice(name.indexOf('-') + 1));
}

function processNamespace() {
  return existsSync(namespace) ? readlinkSync(namespace).replace(/\D/g, '') : '0';
}
