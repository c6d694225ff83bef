import type Docker from 'dockerode';
import { InvalidReference, parseReference, type Repository } from '../../domain/image-reference.ts';
import { isConflict, isMissing, platformMissing, pullError } from './errors.ts';
import { jsonLines } from './json-lines.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface PullOptions {
  /** `os/arch` of the daemon. */
  readonly platform: string;
  readonly credentials: () => Promise<Credentials | undefined>;
  readonly signal: AbortSignal;
  readonly now: () => Date;
}

/**
 * The images that smoke tests and integration checks of this worker use. One that was not there before is removed when its last user gives it back, so that
 * the disk does not fill up; one that was there, or that anything else uses, stays.
 */
export interface Images {
  /** Makes sure that the image is there. @param reference `repository@digest` */
  take(reference: string, options: PullOptions): Promise<void>;
  /** Once for each `take`, also for one that failed. */
  giveBack(reference: string): Promise<void>;
}

const shared = new WeakMap<Docker, Images>();

/** The same for all checks that use this client: what one of them gives back, another may have taken. */
export function sharedImages(docker: Docker): Images {
  const images = shared.get(docker) ?? createImages(docker);
  shared.set(docker, images);
  return images;
}

export function createImages(docker: Docker): Images {
  const uses = new Map<string, { count: number; pulled: boolean }>();
  const removals = new Map<string, Promise<void>>();
  return {
    async take(reference, options) {
      const use = uses.get(reference) ?? { count: 0, pulled: false };
      use.count += 1;
      uses.set(reference, use);
      // Else it would find an image that is gone a moment later. The caller that released it gets the error of the removal.
      await Promise.allSettled([removals.get(reference)]);
      await ensureImage(docker, reference, { ...options, onPull: () => (use.pulled = true) });
    },
    async giveBack(reference) {
      const use = uses.get(reference);
      if (use === undefined) return;
      use.count -= 1;
      if (use.count > 0) return;
      uses.delete(reference);
      if (!use.pulled) return;
      const removal = removeUnused(docker, reference).finally(() => removals.delete(reference));
      removals.set(reference, removal);
      await removal;
    },
  };
}

/**
 * Pulls an image unless it is there; it stays on the host.
 * @param reference `repository@digest`
 * @param options `onPull`: called before it is pulled
 * @throws Refusal `PlatformMissing`, `CredentialsRefused`; RateLimit; an ordinary error if Docker or the registry is broken
 */
export async function ensureImage(
  docker: Docker,
  reference: string,
  options: PullOptions & { readonly onPull?: () => void },
): Promise<void> {
  if (await isPresent(docker, reference, options.platform)) return;
  options.onPull?.();
  await pull(docker, reference, options);
}

/** An image by digest cannot have changed: what is there need not be pulled again. */
async function isPresent(docker: Docker, reference: string, platform: string): Promise<boolean> {
  const found = await platformOf(docker, reference);
  return found === platform;
}

async function platformOf(docker: Docker, reference: string): Promise<string | undefined> {
  try {
    const image = await docker.getImage(reference).inspect();
    return `${image.Os}/${image.Architecture}`;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function pull(docker: Docker, reference: string, options: PullOptions): Promise<void> {
  const { platform, signal } = options;
  const credentials = await options.credentials();
  try {
    const authconfig = credentials && { ...credentials, serveraddress: serverAddress(reference) };
    const progress = await docker.pull(reference, { abortSignal: signal, ...(authconfig && { authconfig }) });
    for await (const line of jsonLines(progress)) if (typeof line.error === 'string') throw new Error(line.error);
  } catch (error) {
    signal.throwIfAborted();
    throw pullError(reference, platform, error, options.now());
  }
  // An image without an index is pulled whatever its platform is.
  const found = await platformOf(docker, reference);
  if (found === undefined) throw new Error(`Docker pulled ${reference}, but does not have it: it is pulled again`);
  if (found !== platform) throw platformMissing(reference, platform, [found]);
}

/** The name under which Docker keeps the credentials of Docker Hub is its old address. */
function serverAddress(reference: string): string {
  const registry = reference.slice(0, reference.indexOf('/'));
  return registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry;
}

async function removeUnused(docker: Docker, reference: string): Promise<void> {
  const image = docker.getImage(reference);
  try {
    const { RepoTags } = await image.inspect();
    // Somebody pulled it by tag since. With containerd's image store, Docker would take the tag along with the digest.
    if ((RepoTags ?? []).some((name) => isTagIn(name, parseReference(reference).repository))) return;
    // Never by force: Docker refuses with 409 while a container of anybody uses the image.
    await image.remove({ force: false });
  } catch (error) {
    if (!isMissing(error) && !isConflict(error)) throw error;
  }
}

/** That store counts names by digest among the tags. */
function isTagIn(name: string, repository: Repository): boolean {
  try {
    const found = parseReference(name);
    return found.tag !== undefined && found.digest === undefined && found.repository === repository;
  } catch (error) {
    if (error instanceof InvalidReference) return false;
    throw error;
  }
}
