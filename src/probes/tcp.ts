import { connect } from 'node:net';
import type { TcpProbePlan } from '../domain/plan.ts';
import { messageOfAll, type ProbeAnswer } from './answer.ts';

/** Docker's proxy takes connections for a port that nobody in the container listens on, and closes them at once. */
const heldMs = 300;

/** Connects once, and looks whether the connection holds for a moment. Never throws but for the signal. */
export async function askTcp({ host, port, timeoutMs }: TcpProbePlan, signal: AbortSignal): Promise<ProbeAnswer> {
  const name = `tcp ${host}:${port}`;
  const wrong = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ host, port });
    const end = (found: string | undefined) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.destroy();
      resolve(found);
    };
    const stop = () => end('was not waited for');
    let timer = setTimeout(() => end(`did not connect within ${timeoutMs / 1000} s`), timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    socket.on('connect', () => {
      clearTimeout(timer);
      timer = setTimeout(() => end(undefined), heldMs);
    });
    socket.on('data', () => end(undefined));
    socket.on('end', () => end('closed the connection at once'));
    socket.on('error', (error) => end(`failed: ${messageOfAll(error)}`));
  });
  signal.throwIfAborted();
  return { kind: wrong === undefined ? 'good' : 'bad', text: `${name} ${wrong ?? 'connects'}` };
}
