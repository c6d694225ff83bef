import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import { Registry as RegistryClient, type RegistryOptions } from '../../src/platform/registry/registry.ts';

export type { RegistryClient };

/** A client that comes anonymously and speaks plain HTTP to everybody, unless told otherwise. */
export function registryClient(options: Partial<RegistryOptions> = {}): RegistryClient {
  return new RegistryClient({ credentials: async () => undefined, plainHttp: () => true, ...options });
}

export const tagOf = (text: string) => text as Tag;
export const digestFrom = (text: string) => text as Digest;
/** `127.0.0.1:PORT/team/app` */
export const repositoryAt = ({ host }: { readonly host: string }, path = 'team/app') => `${host}/${path}` as Repository;
