import type Docker from 'dockerode';
import { secretsIn } from '../platform/docker/environment.ts';
import { createMask, lastLines, readLog } from '../platform/docker/log-lines.ts';

/** The end of a container's log, the secrets of its environment masked. Undefined if it cannot be read: it is only advice. */
export async function readContainerLog(docker: Docker, id: string): Promise<string | undefined> {
  try {
    const { Config } = await docker.getContainer(id).inspect();
    return lastLines(await readLog(docker, id, Config.Tty), createMask(secretsIn(Config.Env ?? [])));
  } catch {
    return undefined;
  }
}
