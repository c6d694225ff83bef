import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reservePort } from '../../src/platform/ports.ts';
import { askCommand } from '../../src/probes/command.ts';
import { askTcp } from '../../src/probes/tcp.ts';
import { eventually } from '../support/wait.ts';

const never = new AbortController().signal;

describe('the tcp probe', () => {
  async function against(connected: (socket: Socket) => void): Promise<string> {
    const server = createServer(connected).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const { kind, text } = await askTcp({ kind: 'tcp', host: '127.0.0.1', port, timeoutMs: 2_000 }, never);
      return `${kind}: ${text.replace(String(port), 'PORT')}`;
    } finally {
      server.close();
    }
  }

  it('is satisfied by a connection that holds, or that says something', async () => {
    assert.equal(await against(() => {}), 'good: tcp 127.0.0.1:PORT connects');
    assert.equal(await against((socket) => socket.end('220 hello\r\n')), 'good: tcp 127.0.0.1:PORT connects');
  });

  it("is not satisfied by one that is closed at once, as by Docker's proxy of a port that nobody listens on", async () => {
    assert.equal(await against((socket) => socket.end()), 'bad: tcp 127.0.0.1:PORT closed the connection at once');
  });

  it('says that nobody listens, and ends with the signal', async () => {
    const port = await reservePort();
    const answer = await askTcp({ kind: 'tcp', host: '127.0.0.1', port, timeoutMs: 2_000 }, never);
    assert.match(answer.text, /^tcp 127\.0\.0\.1:\d+ failed: .*ECONNREFUSED/);
    const stop = new AbortController();
    // A network for documentation: nobody answers.
    const asking = askTcp({ kind: 'tcp', host: '192.0.2.1', port: 9, timeoutMs: 60_000 }, stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(asking, /enough/);
  });
});

describe('the command probe', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-command-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const ask = (
    command: readonly string[],
    timeoutMs = 5_000,
    signal = never,
    env: Record<string, string | undefined> = process.env,
  ) => askCommand({ kind: 'command', command, timeoutMs }, { baseDir: folder, env, signal });

  it('is satisfied by exit code 0 alone, and shows the last line of anything else', async () => {
    assert.deepEqual(await ask(['true']), { kind: 'good', text: 'command true exited with 0' });
    const failing = await ask(['sh', '-c', 'echo first; echo "queue is stuck" >&2; exit 3']);
    assert.equal(failing.kind, 'bad');
    assert.match(failing.text, /exited with 3: queue is stuck$/);
    assert.match((await ask(['sh', '-c', 'kill -9 $$'])).text, /was killed$/);
  });

  it('asks no shell', async () => {
    assert.equal((await ask(['echo', '$HOME', '&&', 'false'])).kind, 'good');
    assert.match((await ask(['no-such-program-here'])).text, /could not be started: .*ENOENT/);
  });

  it('passes on none of our secrets', async () => {
    const env = { ...process.env, GITHUB_TOKEN: 'hunter2' };
    assert.equal((await ask(['sh', '-c', 'test -z "$GITHUB_TOKEN"'], 5_000, never, env)).kind, 'good');
  });

  const stuck = ['sh', '-c', "trap '' TERM; sleep 600 & echo $! > child; echo $$ > self; wait; sleep 600"];
  const isAlive = (pid: number) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  async function pids(): Promise<number[]> {
    const read = async (name: string) => Number(await readFile(join(folder, name), 'utf8').catch(() => ''));
    return eventually('the command to be at work', async () => {
      const found = await Promise.all([read('child'), read('self')]);
      return found.every((pid) => pid > 0) && found;
    });
  }
  const areGone = (all: readonly number[]) => eventually('the whole group to be gone', async () => !all.some(isAlive));

  it('kills the whole process group when the time is over, also where it does not want to end', async () => {
    const answer = await ask(stuck, 500);
    assert.match(answer.text, /did not end within 0.5 s$/);
    await areGone(await pids());
  });

  it('kills it too when it is cancelled', async () => {
    const stop = new AbortController();
    const asking = ask(stuck, 60_000, stop.signal);
    const all = await pids();
    stop.abort(new Error('enough'));
    await assert.rejects(asking, /enough/);
    await areGone(all);
  });

  it('does not wait for what it left in the background', async () => {
    const answer = await ask(['sh', '-c', 'sleep 600 & echo $! > child; echo $$ > self'], 10_000);
    assert.equal(answer.kind, 'good');
    await areGone(await pids());
  });
});
