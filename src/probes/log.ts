import type Docker from 'dockerode';
import { holdsSecret } from '../platform/docker/environment.ts';
import { createMask, lastLines, readLog } from '../platform/docker/log-lines.ts';

/** Shorter values would mask half of the log. */
const shortestSecret = 4;

/** The end of a container's log, the secrets of its environment masked. Undefined if it cannot be read: it is only advice. */
export async function readContainerLog(docker: Docker, id: string): Promise<string | undefined> {
  try {
    const { Config } = await docker.getContainer(id).inspect();
    return lastLines(await readLog(docker, id, Config.Tty), createMask(secretsIn(Config.Env ?? [])));
  } catch {
    return undefined;
  }
}

/** @param environment `NAME=VALUE`: values of names that tell a secret, and passwords in URLs */
export function secretsIn(environment: readonly string[]): string[] {
  const secrets = environment.flatMap((entry) => {
    const [name = ''] = entry.split('=', 1);
    const value = entry.slice(name.length + 1);
    const [, password] = /^[a-z][a-z0-9+.-]*:\/\/[^/@:]*:([^@/]+)@/i.exec(value) ?? [];
    return [...(holdsSecret(name) ? [value] : []), ...(password === undefined ? [] : [password])];
  });
  return secrets.filter((secret) => secret.length >= shortestSecret);
}
