/**
 * Inside the namespaces: starts the engine, runs the command on it, and stops it: `node engine-inside.mjs FOLDER PROGRAMS [SCRIPT [ARGUMENT...]]`.
 * Without a command the engine runs until a signal comes. See engine-run.mjs.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { currentVersions } from './current-engine.mjs';
import { stopDaemon, untilAnswering } from './docker-engine.mjs';
import { cgroupOf, removeOwnFolder } from './leftovers.mjs';
import { answerOf, SetUpFailure } from './machine.mjs';

const [folder = '', programs = '', ...command] = process.argv.slice(2);
/** A command that has been asked to end gets this long: the demo puts everything away first. */
const commandEndsWithinMs = 120_000;

/** @type {import('node:child_process').ChildProcess | undefined} */
let running;
/** Aborted when somebody wants this to end. */
const asked = new AbortController();

/** @param {NodeJS.Signals} signal */
function end(signal) {
  asked.abort();
  running?.kill(signal);
  setTimeout(() => running?.kill('SIGKILL'), commandEndsWithinMs).unref();
}

process.on('message', (signal) => end(/** @type {NodeJS.Signals} */ (signal)));
// Whoever started this was killed.
process.on('disconnect', () => end('SIGTERM'));
// A terminal sends it to the command as well.
process.on('SIGINT', () => {
  if (command.length > 0) asked.abort();
});

/** @returns {Promise<number>} the command's exit code */
async function run() {
  makeRoom();
  const engine = await startEngine();
  try {
    requireVersions();
    if (process.connected) process.send?.('ready');
    if (asked.signal.aborted) return 130;
    if (command.length === 0) {
      await once(asked.signal, 'abort');
      return 0;
    }
    running = spawn(process.execPath, command, { stdio: 'inherit' });
    const [code] = await once(running, 'exit');
    return code ?? 1;
  } finally {
    await stopDaemon(engine);
    // Else whoever started this does, once the last mount is gone.
    if (!process.connected) removeOwnFolder(folder);
  }
}

/** Sockets and state of the engine are here alone, and nobody in here meets another engine's. */
function makeRoom() {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
  mkdirSync('/run/lock');
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
}

async function startEngine() {
  const logFile = join(folder, 'dockerd.log');
  const args = ['--data-root', join(folder, 'data'), '--cgroup-parent', `/${cgroupOf(folder)}`];
  return await untilAnswering(join(programs, 'dockerd'), args, logFile, process.env);
}

/** The tests are to be believed when they say what they ran on. */
function requireVersions() {
  const docker = answerOf('docker', ['version', '--format', '{{.Server.Version}}'], process.env, 10_000);
  const store = answerOf('docker', ['info', '--format', '{{.DriverStatus}}'], process.env, 10_000) ?? '';
  const compose = answerOf(join(programs, 'docker-compose'), ['version', '--short'], process.env, 10_000);
  const isContainerds = store.includes('io.containerd.snapshotter');
  const found = `Docker ${docker} with ${isContainerds ? "containerd's image store" : `the image store ${store}`}, Compose ${compose}`;
  if (docker !== currentVersions.docker || compose !== currentVersions.compose || !isContainerds) {
    const expected = `Docker ${currentVersions.docker} with containerd's image store, Compose ${currentVersions.compose}`;
    throw new SetUpFailure(`expected ${expected}, found ${found}: remove ${programs}, so that it is built anew`);
  }
  console.error(`engine: ${found}`);
}

try {
  process.exitCode = await run();
} catch (error) {
  console.error(error instanceof SetUpFailure ? error.message : error);
  process.exitCode = 1;
} finally {
  if (process.connected) process.disconnect();
}
