/**
 * Runs a command of ours on the current engine, apart from everything else on the machine: network, mounts and processes have namespaces of
 * their own, so the kernel itself ends and unmounts whatever is left when the first process in there ends, however that came about.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { obtainCurrentEngine } from './current-engine.mjs';
import { makeOwnFolder, removeOwnFolder } from './leftovers.mjs';
import { SetUpFailure } from './machine.mjs';

/** @typedef {Record<string, string | undefined>} Environment */

const inside = fileURLToPath(new URL('engine-inside.mjs', import.meta.url));

/**
 * @param {readonly string[]} command a script for Node, and its arguments
 * @param {{ env: Environment, say: (line: string) => void }} context
 * @returns {Promise<number>} its exit code
 * @throws {SetUpFailure} where the engine cannot be had on this machine
 */
export async function runOnCurrentEngine(command, { env, say }) {
  const tell = (/** @type {string} */ pid) => say(`a shell beside the engine: ${shellBeside(pid).join(' ')}`);
  return await runInside(command, { env, say }, tell);
}

/**
 * Runs the current engine for as long as `use` takes.
 * @template T
 * @param {{ env: Environment, say: (line: string) => void }} context
 * @param {(engine: { enter: readonly string[], env: Environment }) => Promise<T>} use `enter` comes before a command that is to run beside
 *   the engine, with `env` as its environment
 * @returns {Promise<T>}
 * @throws {SetUpFailure} where the engine cannot be had on this machine
 */
export async function withCurrentEngine(context, use) {
  const stop = new AbortController();
  /** @type {Promise<number>} */
  let run = Promise.resolve(1);
  const ready = new Promise((resolve, reject) => {
    run = runInside([], context, resolve, stop.signal);
    run.then(resolve, reject);
  });
  const pid = await ready;
  if (typeof pid !== 'string') throw new SetUpFailure(`the engine ended with ${pid}, before anything could run on it`);
  try {
    return await use({ enter: shellBeside(pid), env: engineEnvironment(await obtainCurrentEngine(context), context.env) });
  } finally {
    stop.abort();
    await run;
  }
}

/** @param {string} pid of the first process in there */
const shellBeside = (pid) => ['nsenter', '--target', pid, '--net', '--mount', '--pid'];

/**
 * @param {readonly string[]} command
 * @param {{ env: Environment, say: (line: string) => void }} context
 * @param {(pid: string) => void} ready told the first process in there once the engine answers
 * @param {AbortSignal} [stop]
 */
async function runInside(command, { env, say }, ready, stop) {
  const programs = await obtainCurrentEngine({ env, say });
  const folder = makeOwnFolder('engine');
  try {
    return await runApart([inside, folder, programs, ...command], engineEnvironment(programs, env), ready, stop);
  } finally {
    removeOwnFolder(folder);
  }
}

/**
 * What programs find the engine by, whatever the caller has set.
 * @param {string} programs
 * @param {Environment} env
 */
function engineEnvironment(programs, env) {
  const { DOCKER_CONTEXT: _context, DOCKER_TLS_VERIFY: _verify, DOCKER_TLS: _tls, ...own } = env;
  return {
    ...own,
    PATH: `${programs}:${env.PATH ?? ''}`,
    // The usual place: what goes there without being told meets this engine too, because /run is the namespace's own.
    DOCKER_HOST: 'unix:///var/run/docker.sock',
    DOCKER_COMPOSE: join(programs, 'docker-compose'),
    LANDFALL_ENGINE: '29',
  };
}

/**
 * Runs Node in new namespaces. A shell is their first process, because that one has to take care of orphans, which Node does not. Signals go
 * over a channel to the script (`process.on('message')`), which also hears when this process is gone.
 * @param {readonly string[]} script
 * @param {Environment} env
 * @param {(pid: string) => void} [ready] told the first process in there once the script has sent a message
 * @param {AbortSignal} [stop] sends a SIGTERM; where it is given, the signals of this process are the caller's to handle
 * @returns {Promise<number>} its exit code
 */
export async function runApart(script, env, ready, stop) {
  const namespaces = ['--net', '--mount', '--pid', '--mount-proc', '--fork', '--kill-child'];
  const child = spawn('unshare', [...namespaces, 'sh', '-c', '"$@"; exit $?', 'sh', process.execPath, ...script], {
    env,
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  child.once('message', () => ready?.(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()));
  const passOn = (/** @type {NodeJS.Signals} */ signal) => void (child.connected && child.send(signal));
  // A terminal sends SIGINT to the command as well; we only stay to clean up.
  const stay = () => undefined;
  if (stop === undefined) process.on('SIGTERM', passOn).on('SIGINT', stay);
  stop?.addEventListener('abort', () => passOn('SIGTERM'));
  try {
    const [code] = await once(child, 'exit');
    return code ?? 1;
  } finally {
    process.off('SIGTERM', passOn).off('SIGINT', stay);
  }
}
