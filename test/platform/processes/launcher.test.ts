import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { codeOf } from '../../../src/domain/errors.ts';
import { runProgram, runProgramForBytes } from '../../../src/platform/processes/launcher.ts';
import { eventually } from '../../support/wait.ts';

const environment = { PATH: process.env.PATH };
const shell = (script: string) => ['/bin/sh', '-c', script];

/** Of the process that starts programs for this one. */
async function launcher(): Promise<number> {
  return Number((await runProgram({ command: shell('echo $PPID'), environment })).stdout);
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
    throw error;
  }
}

describe('the process that starts programs', () => {
  it('is another one than this, and the same for all of them', async () => {
    const [first, second] = await Promise.all([launcher(), launcher()]);
    assert.equal(first, second);
    assert.notEqual(first, process.pid);
  });

  it('hands back every byte, how it ended, and what the system says where it cannot be started', async () => {
    const input = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 256));
    const { stdout, code } = await runProgramForBytes({ command: ['cat'], environment, input });
    assert.equal(code, 0);
    assert.ok(input.equals(stdout));
    const ended = await runProgram({ command: shell('echo said >&2; kill -9 $$'), environment });
    assert.deepEqual(
      { ...ended, output: '' },
      { code: undefined, killedBy: 'SIGKILL', endedBy: 'itself', stdout: '', stderr: 'said\n', output: '' },
    );
    await assert.rejects(runProgram({ command: ['no-such-program'], environment }), (error) => codeOf(error) === 'ENOENT');
    assert.equal((await runProgram({ command: shell('sleep 60'), environment, timeoutMs: 50 })).endedBy, 'time-out');
    assert.equal((await runProgram({ command: ['yes'], environment, longestStdout: 1_000 })).endedBy, 'too much output');
  });

  it('stops a program, with all that it started, once its signal is aborted', async () => {
    const stop = new AbortController();
    const reason = new Error('given up');
    const run = runProgram({ command: shell('sleep 61 & wait'), environment, signal: stop.signal });
    const sleeps = () => runProgram({ command: ['pgrep', '-f', '^sleep 61$'], environment });
    await eventually('it to run', async () => (await sleeps()).code === 0);
    stop.abort(reason);
    await assert.rejects(run, (error) => error === reason);
    assert.equal((await sleeps()).code, 1);
  });

  it('is started again where somebody killed it, and what it had started counts as broken', async () => {
    const before = await launcher();
    const run = runProgram({ command: shell('sleep 0.2'), environment });
    process.kill(before, 'SIGKILL');
    await assert.rejects(run, /the process that starts programs for Landfall ended \(SIGKILL\)/);
    assert.notEqual(await launcher(), before);
  });

  it('goes on with a SIGTERM for all processes, and ends with this one, once what it has started has ended', async () => {
    const source = fileURLToPath(new URL('../../../src/platform/processes/launcher.ts', import.meta.url));
    const script = `
const { runProgram } = await import(${JSON.stringify(source)});
const run = (text) => runProgram({ command: ['/bin/sh', '-c', text], environment: process.env });
console.log((await run('echo $PPID')).stdout.trim());
await run('sleep 1');
`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const pid = Number(line);
    process.kill(pid, 'SIGTERM');
    assert.ok(isThere(pid));
    child.kill('SIGKILL');
    await once(child, 'exit');
    await eventually('it to end', async () => !isThere(pid));
  });

  it('keeps nobody from ending', async () => {
    const source = fileURLToPath(new URL('../../../src/platform/processes/launcher.ts', import.meta.url));
    const script = `
const { runProgram } = await import(${JSON.stringify(source)});
await runProgram({ command: ['true'], environment: process.env });
`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'ignore' });
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });
});
