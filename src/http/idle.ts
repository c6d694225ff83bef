import type { IncomingMessage } from 'node:http';

/** Does what may take longer than the listener waits for a connection that is silent. Before it and after it, that limit counts. */
export async function withoutIdleLimit<Result>({ socket }: IncomingMessage, work: () => Promise<Result>): Promise<Result> {
  const { timeout = 0 } = socket;
  socket.setTimeout(0);
  try {
    return await work();
  } finally {
    socket.setTimeout(timeout);
  }
}
