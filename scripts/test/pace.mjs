/** How quick the machine is now: times are limited by what they are on one machine, and others differ, or have other work. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What `work` takes where the limits were set, in milliseconds of processor time. */
const usualWorkMs = 20;
/** How many times a process does it for `machinePace`, and what that takes there in milliseconds, with the start of the process. */
const rounds = 50;
const usualMs = 1_100;

/**
 * Milliseconds that this process's main thread has been at work: what a busy machine does beside it does not count, and neither do other
 * threads. Where there is no /proc, the time of the whole process.
 */
export function busyMs() {
  if (process.platform === 'linux') {
    const [nanoseconds = ''] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ', 1);
    return Number(nanoseconds) / 1e6;
  }
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** JSON, patterns and hashes, as in what is limited. */
function work() {
  const text = JSON.stringify(Array.from({ length: 20_000 }, (_, index) => ({ name: `name ${index}`, index })));
  JSON.parse(text);
  text.replaceAll(/name (\d+)/g, '$1');
  createHash('sha256').update(text).digest();
}

/** How many times as long as usual this process needs the processor for the same work. At least 1. */
export function processorPace() {
  const times = Array.from({ length: 3 }, () => {
    const before = busyMs();
    work();
    return busyMs() - before;
  });
  return Math.max(1, Math.min(...times) / usualWorkMs);
}

/** How many times as long as usual work takes that has all processors at once. */
export async function machinePace() {
  const begunAt = performance.now();
  const workers = Array.from({ length: availableParallelism() }, () =>
    once(spawn(process.execPath, [fileURLToPath(import.meta.url)], { stdio: 'ignore' }), 'exit'),
  );
  await Promise.all(workers);
  return (performance.now() - begunAt) / usualMs;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) for (let round = 0; round < rounds; round += 1) work();
