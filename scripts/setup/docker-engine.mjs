/**
 * The Docker engine that set-up starts where none runs. It is counted who uses it, so that the last run to end stops it, by its process
 * id, and nobody stops an engine that was there before.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, findTool } from '../../src/platform/tools.mjs';
import { dockerServerVersion, isAlive, sparingGo } from './machine.mjs';

/** @typedef {{ env: Record<string, string | undefined>, say: (line: string) => void }} Context */

const startDeadlineMs = 60_000;
const stopDeadlineMs = 30_000;

/** @param {Record<string, string | undefined>} env */
const pidFile = (env) => join(cacheFolder(env), 'dockerd.pid');
/** @param {Record<string, string | undefined>} env */
const usersFolder = (env) => join(cacheFolder(env), 'dockerd-users');

/** @param {Context} context */
export async function startDockerd({ env, say }) {
  const logFile = join(cacheFolder(env), 'dockerd.log');
  say('starting the Docker engine (dockerd) ...');
  const { pid } = await untilAnswering(findTool('dockerd', env) ?? 'dockerd', [], logFile, env);
  writeFileSync(pidFile(env), String(pid));
  say('  done');
}

/**
 * Starts a dockerd, and waits until it answers. It has a process group of its own, so that Ctrl-C does not reach it.
 * @param {string} dockerd
 * @param {readonly string[]} args
 * @param {string} logFile
 * @param {Record<string, string | undefined>} env
 * @returns {Promise<import('node:child_process').ChildProcess>}
 */
export async function untilAnswering(dockerd, args, logFile, env) {
  const output = openSync(logFile, 'w');
  const child = spawn(dockerd, args, { env: { ...sparingGo, ...env }, detached: true, stdio: ['ignore', output, output] });
  closeSync(output);
  child.unref();
  let failure = '';
  child.once('error', (error) => {
    failure = String(error);
  });
  child.once('exit', (code, signal) => {
    failure = `it ended with ${signal ?? code}`;
  });
  const giveUpAt = Date.now() + startDeadlineMs;
  while (dockerServerVersion(findTool('docker', env), env) === undefined) {
    if (failure === '' && Date.now() > giveUpAt) {
      failure = `it did not answer within ${startDeadlineMs / 1000} s`;
      child.kill('SIGKILL');
    }
    if (failure !== '') throw new Error(`dockerd did not start: ${failure}. Its last lines (${logFile}):\n${lastLines(logFile)}`);
    await new Promise((passed) => setTimeout(passed, 200));
  }
  return child;
}

/**
 * Stops a dockerd of ours, which stops its containers first.
 * @param {import('node:child_process').ChildProcess} dockerd
 */
export async function stopDaemon(dockerd) {
  if (dockerd.exitCode !== null || dockerd.signalCode !== null) return;
  const exited = once(dockerd, 'exit');
  dockerd.ref();
  dockerd.kill('SIGTERM');
  const kill = setTimeout(() => dockerd.kill('SIGKILL'), stopDeadlineMs);
  await exited;
  clearTimeout(kill);
}

/** Says that this process uses the engine, if it is one that set-up started. */
export function useStartedEngine(/** @type {Record<string, string | undefined>} */ env) {
  if (startedEngine(env) === undefined) return;
  mkdirSync(usersFolder(env), { recursive: true });
  writeFileSync(join(usersFolder(env), String(process.pid)), '');
}

/**
 * Stops the engine that set-up started, unless another run still uses it. The stop is awaited.
 * @param {Record<string, string | undefined>} env
 * @returns {Promise<'stopped' | 'in use' | 'not ours'>}
 */
export async function leaveStartedEngine(env) {
  const pid = startedEngine(env);
  if (pid === undefined) return 'not ours';
  rmSync(join(usersFolder(env), String(process.pid)), { force: true });
  const users = existsSync(usersFolder(env)) ? readdirSync(usersFolder(env)) : [];
  if (users.some((user) => isAlive(Number(user)))) return 'in use';
  process.kill(pid, 'SIGTERM');
  const giveUpAt = Date.now() + stopDeadlineMs;
  while (startedEngine(env) !== undefined) {
    if (Date.now() > giveUpAt)
      throw new Error(`the Docker engine (process ${pid}) did not stop within ${stopDeadlineMs / 1000} s`);
    await new Promise((passed) => setTimeout(passed, 100));
  }
  rmSync(pidFile(env), { force: true });
  return 'stopped';
}

/**
 * The process id of the engine that set-up started, where it still runs and is a dockerd.
 * @param {Record<string, string | undefined>} env
 */
function startedEngine(env) {
  // On the current engine (see engine-run.mjs) process ids are others, and the engine is nobody's but that run's.
  if (env.LANDFALL_ENGINE === '29' || !existsSync(pidFile(env))) return undefined;
  const pid = Number(readFileSync(pidFile(env), 'utf8'));
  const commandLine = `/proc/${pid}/cmdline`;
  return existsSync(commandLine) && readFileSync(commandLine, 'utf8').includes('dockerd') ? pid : undefined;
}

/** @param {string} file */
function lastLines(file) {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
}
