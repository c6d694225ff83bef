import { z } from 'zod';
import { text } from '../../settings/scalars.ts';
import { repositoryIn } from './image.ts';

const longestUrl = 2048;

/** A bare host name is no registry in an image reference (it would be a path of Docker Hub), so its port is written out. */
export function registryAt(host: string, protocol: string | undefined): string {
  const bare = !/[.:]/.test(host) && host !== 'localhost';
  return bare ? `${host}:${protocol === 'https:' ? 443 : 80}` : host;
}

/**
 * The registry at a URL of a server that is its own registry, as image references name it.
 * @returns undefined if it is no URL of HTTP
 */
export function registryOfUrl(url: string | undefined): string | undefined {
  if (url === undefined || url.length > longestUrl || !URL.canParse(url)) return undefined;
  const { protocol, host } = new URL(url);
  if ((protocol !== 'https:' && protocol !== 'http:') || host === '') return undefined;
  return registryAt(host, protocol);
}

const expected = 'a registry such as registry.example.org:5000, or one with a path such as nexus.example.org/docker';

/** What stands before the names of images: a registry's host, with the path that its images have in common. */
export const imagePrefix = text(expected, /^[^\s:/]+(?::\d+)?(?:\/[^\s:]+)?\/?$/).transform((written, context) => {
  const repository = repositoryIn(`${written.replace(/\/$/, '')}/x/x`);
  if (repository !== undefined) return repository.slice(0, -'/x/x'.length);
  context.addIssue({ code: 'custom', message: `expected ${expected}` });
  return z.NEVER;
});

/** By the sender's names of repositories. */
export function byRepository<Schema extends z.core.$ZodType>(schema: Schema, description: string) {
  return z.record(z.string(), schema).meta({ description });
}

/** What a map of the configuration has under a name that a sender chose; never what every object has. */
export function entryOf<Value>(
  entries: Readonly<Record<string, Value>> | undefined,
  name: string | undefined,
): Value | undefined {
  return entries !== undefined && name !== undefined && Object.hasOwn(entries, name) ? entries[name] : undefined;
}
