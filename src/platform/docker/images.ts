import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import { parseReference, tryParseReference } from '../../domain/image-reference.ts';
import { memberOf } from '../../domain/json.ts';
import type { CredentialsSource } from '../registry/credentials.ts';
import { isConflict, isMissing, platformMissing, pullError, unlessMissing } from './errors.ts';
import { jsonLines } from './events.ts';

export interface PullOptions {
  /** `os/arch` of the daemon. */
  readonly platform: string;
  readonly credentials: CredentialsSource;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** That it may download: a manifest can say less of its layers than they have. Absent: as many as come. */
  readonly mostBytes?: number;
}

export type Images = ReturnType<typeof createImages>;

const shared = new WeakMap<Docker, Images>();

/** The same for all checks that use this client: what one of them gives back, another may have taken. */
export function sharedImages(docker: Docker): Images {
  const images = shared.get(docker) ?? createImages(docker);
  shared.set(docker, images);
  return images;
}

/**
 * The images that the checks of this worker use. One that was not there before is removed when its last user gives it back, so that the
 * disk does not fill up; one that was there, or that anything else uses, stays.
 */
export function createImages(docker: Docker) {
  const uses = new Map<string, { count: number; pulled: boolean }>();
  const removals = new Map<string, Promise<void>>();
  return {
    /** Makes sure that the image is there. @param reference `repository@digest` */
    async take(reference: string, options: PullOptions): Promise<void> {
      const use = uses.get(reference) ?? { count: 0, pulled: false };
      use.count += 1;
      uses.set(reference, use);
      // Else it would find an image that is gone a moment later. The caller that released it gets the error of the removal.
      await Promise.allSettled([removals.get(reference)]);
      await ensureImage(docker, reference, { ...options, onPull: () => (use.pulled = true) });
    },
    /** Once for each `take`, also for one that failed. */
    async giveBack(reference: string): Promise<void> {
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
 * Pulls an image, `repository@digest`, unless it is there; it stays on the host. @param options `onPull`: called before it is pulled
 * @throws Refusal `PlatformMissing`, `CredentialsRefused`; RateLimit; an ordinary error if Docker or the registry is broken
 */
export async function ensureImage(
  docker: Docker,
  reference: string,
  options: PullOptions & { readonly onPull?: () => void },
): Promise<void> {
  // An image by digest cannot have changed: what is there need not be pulled again.
  if ((await platformOf(docker, reference)) === options.platform) return;
  options.onPull?.();
  await pull(docker, reference, options);
}

async function platformOf(docker: Docker, reference: string): Promise<string | undefined> {
  const image = await docker.getImage(reference).inspect().catch(unlessMissing);
  return image && `${image.Os}/${image.Architecture}`;
}

async function pull(docker: Docker, reference: string, options: PullOptions): Promise<void> {
  const { platform, signal } = options;
  const registry = reference.slice(0, reference.indexOf('/'));
  const credentials = await options.credentials(registry);
  // Docker keeps the credentials of Docker Hub under its old address.
  const serveraddress = registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry;
  try {
    const authconfig = credentials && { ...credentials, serveraddress };
    const progress = await docker.pull(reference, { abortSignal: signal, ...(authconfig && { authconfig }) });
    const downloaded = new Map<unknown, number>();
    for await (const line of jsonLines(progress)) {
      if (typeof line.error === 'string') throw new Error(line.error);
      if (line.status === 'Downloading') downloaded.set(line.id, Number(memberOf(line.progressDetail, 'current') ?? 0));
      // Whoever stops reading stops the pull.
      refuseLarger(reference, [...downloaded.values()], options.mostBytes);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refusal) throw error;
    throw pullError(reference, platform, error, options.now());
  }
  // An image without an index is pulled whatever its platform is.
  const found = await platformOf(docker, reference);
  if (found === undefined) throw new Error(`Docker pulled ${reference}, but does not have it: it is pulled again`);
  if (found !== platform) throw platformMissing(reference, platform, [found]);
}

function refuseLarger(reference: string, downloaded: readonly number[], mostBytes = Number.POSITIVE_INFINITY): void {
  if (downloaded.reduce((sum, bytes) => sum + bytes, 0) <= mostBytes) return;
  throw new Refusal(
    'ImageTooLarge',
    `expected ${reference} to have at most ${mostBytes} bytes in its layers, as verify found, but more came than that, so the pull was stopped: ` +
      'its manifest is wrong about them; push it again, or raise verify.maxSize of the service',
  );
}

async function removeUnused(docker: Docker, reference: string): Promise<void> {
  const image = docker.getImage(reference);
  try {
    const { RepoTags } = await image.inspect();
    const own = parseReference(reference).repository;
    // Somebody pulled it by tag since: with containerd's image store, Docker would take the tag along with the digest.
    const isTagged = (RepoTags ?? []).some((name) => {
      const { repository, tag, digest } = tryParseReference(name) ?? {};
      // That store counts names by digest among the tags.
      return repository === own && tag !== undefined && digest === undefined;
    });
    if (isTagged) return;
    // Never by force: Docker refuses with 409 while a container of anybody uses the image.
    await image.remove({ force: false });
  } catch (error) {
    if (!isMissing(error) && !isConflict(error)) throw error;
  }
}
