import type Docker from 'dockerode';
import { tryParseReference } from '../../domain/image-reference.ts';

/** What Docker says of where an image in containerd's store is from. */
export interface Origin {
  /** One for every name, also for those that no registry has. */
  readonly RepoDigests?: readonly string[] | null;
  /** Of every image in that store, and of no other. */
  readonly Descriptor?: object | null;
  /** Since API 1.53, of images that were pulled, pushed, or built with BuildKit. */
  readonly Identity?: { readonly Pull?: readonly { readonly Repository: string }[] | null } | null;
}

/** The digests in repositories that the image was pulled from or pushed to. */
export function digestsOfOrigin({ RepoDigests, Identity }: Origin): string[] {
  const origins = (Identity?.Pull ?? []).map(({ Repository }) => Repository);
  return (RepoDigests ?? []).filter((digest) => {
    const repository = tryParseReference(digest)?.repository;
    return repository !== undefined && isAmong(repository, origins);
  });
}

/** Docker tells an origin without its port, so that a host without a dot looks like a path of Docker Hub, and one of IPv6 like nothing. */
function isAmong(repository: string, origins: readonly string[]): boolean {
  const [, host = '', path = ''] = /^(.+?)(?::\d+)?\/(.+)$/.exec(repository) ?? [];
  if (host.startsWith('[')) return true;
  return origins.includes(`${host}/${path}`) || origins.includes(`docker.io/${host}/${path}`);
}

/** Whether the daemon says `Identity` of an image that has one. */
export async function tellsOrigin(docker: Docker): Promise<boolean> {
  const { ApiVersion } = await docker.version();
  const [major = 0, minor = 0] = ApiVersion.split('.').map(Number);
  return major > 1 || (major === 1 && minor >= 53);
}
