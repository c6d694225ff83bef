import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';

/** Whether the Docker daemon was there all the while: when it goes, it takes containers with it, which says nothing about them. */
export interface DaemonPresence {
  /** @param withinMs how long it is waited for: what the daemon lives on may end before it does itself */
  isBroken(withinMs: number): Promise<boolean>;
  end(): void;
}

/** @returns once the daemon has answered: it closes this connection before it stops its containers */
export async function watchDaemon(docker: Docker): Promise<DaemonPresence> {
  const stop = new AbortController();
  // Events that hardly ever come: it is the connection that tells.
  const filters = { type: ['daemon' as const], event: ['reload'] };
  const stream = await docker.getEvents({ filters, abortSignal: stop.signal });
  const gone = new AbortController();
  const breaks = () => gone.abort();
  stream.on('error', breaks).on('end', breaks).on('close', breaks).resume();
  return {
    async isBroken(withinMs) {
      await pause(withinMs, undefined, { signal: gone.signal }).catch(() => undefined);
      return gone.signal.aborted;
    },
    end() {
      stop.abort();
    },
  };
}
