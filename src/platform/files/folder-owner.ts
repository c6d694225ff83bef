import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf } from '../../domain/errors.ts';

/** How often a start looks again whether another one, of the same moment, has stepped back. The owner of the folder never does. */
const looks = 8;
const longestPauseMs = 250;
/** A process that hangs still takes connections, but does not say who it is. */
const answerWithinMs = 1_000;
const claimName = /^owner-[0-9a-f]{8}\.sock$/;

/**
 * Takes a data folder for this process, so that two Landfalls never serve from the same files. A claim is a Unix socket in it where somebody
 * listens as long as the process lives: unlike a process id, the same from every container that shares the volume, and dead with the process.
 * @returns gives the folder back @throws where another process has it, or no Unix socket can be made there
 */
export async function ownFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (let look = 1; ; look++) {
    const { release, other } = await claimAlone(folder);
    if (release !== undefined) return release;
    if (look === looks) {
      throw new Error(
        `${folder} is in use by another Landfall (${other}): stop that one, or choose another data folder for this one`,
      );
    }
    await pause(Math.random() * longestPauseMs);
  }
}

/**
 * A claim of this process on an existing folder, unless another process (`other`, in words) has one too. A claim listens before it can be
 * seen, and can be seen before it looks at the others: of two at once, at least one steps back.
 */
export async function claimAlone(folder: string): Promise<{ readonly release?: () => Promise<void>; readonly other?: string }> {
  const name = `owner-${randomUUID().slice(0, 8)}.sock`;
  const server = createServer((socket) => {
    // The process that asks may be gone before it has the answer.
    socket.on('error', () => socket.destroy());
    socket.end(`process ${process.pid} on ${hostname()}`);
  });
  const listening = inShort(folder, (short) => once(server.listen(join(short, `${name}.new`)), 'listening'));
  await listening.catch((cause: unknown) => {
    throw new Error(`${folder} cannot be taken: expected a local file system with Unix sockets; choose another data folder`, {
      cause,
    });
  });
  server.unref();
  await rename(join(folder, `${name}.new`), join(folder, name));
  const release = async () => {
    await rm(join(folder, name), { force: true });
    server.close();
  };
  const other = await otherClaim(folder, name).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  if (other === undefined) return { release };
  await release();
  return { other };
}

/** Who else has or claims the folder, in words. Claims of dead processes are removed: their names are random, so none is used again. */
export async function otherClaim(folder: string, own?: string): Promise<string | undefined> {
  const names = (await readdir(folder)).filter((name) => claimName.test(name) && name !== own);
  for (const name of names) {
    const said = await inShort(folder, (short) => ask(join(short, name)));
    if (said !== undefined) return said;
    await rm(join(folder, name), { force: true });
  }
  return undefined;
}

/** The path of a socket has at most some 100 bytes, and Node cuts longer ones off without a word. On Linux an open folder has a short name. */
async function inShort<Result>(folder: string, act: (short: string) => Promise<Result>): Promise<Result> {
  if (process.platform !== 'linux') {
    if (Buffer.byteLength(folder) <= 75) return await act(folder);
    throw new Error(`expected a path of at most 75 bytes, found ${folder}`);
  }
  const handle = await open(folder);
  try {
    return await act(`/proc/self/fd/${handle.fd}`);
  } finally {
    await handle.close();
  }
}

/** What the listener of a socket says; undefined if nobody listens. */
async function ask(path: string): Promise<string | undefined> {
  const socket = connect(path);
  socket.setTimeout(answerWithinMs, () => socket.destroy(new Error(`${path} does not answer`)));
  try {
    await once(socket, 'connect');
  } catch (error) {
    // ECONNRESET: it listened when we came, and gave its claim up before it saw us.
    const code = codeOf(error);
    if (code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'ENOENT') return undefined;
    throw error;
  }
  return (await text(socket).catch(() => '')) || 'a process that does not answer';
}
