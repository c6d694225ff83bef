import type Docker from 'dockerode';
import { type Digest, type ImageReference, tryParseReference } from '../../domain/image-reference.ts';
import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import { type Container, findImage, type Image } from '../../platform/docker/container.ts';

export interface ContainerWithImage {
  readonly container: Container;
  /** Undefined if Docker has removed it. */
  readonly image: Image | undefined;
}

export async function withImage(docker: Docker, container: Container): Promise<ContainerWithImage> {
  return { container, image: await findImage(docker, container.Image) };
}

/**
 * By which registry digests a container's image is known. That it was made by digest counts too: Docker forgets an image's digest when
 * somebody removes that name of the image, although the container still runs it.
 */
function digestsOf({ container, image }: ContainerWithImage): readonly (ImageReference & { readonly digest: Digest })[] {
  return [...(image?.RepoDigests ?? []), container.Config.Image].flatMap((text) => {
    // `<none>@sha256:...`, and ids, are no references.
    const parsed = tryParseReference(text);
    return parsed?.digest === undefined ? [] : [{ ...parsed, digest: parsed.digest }];
  });
}

export function runs(made: ContainerWithImage, wanted: ImageIdentity): boolean {
  return digestsOf(made).some(({ repository, digest }) => repository === wanted.repository && digest === wanted.digest);
}

/**
 * What a container runs. An image may have several digests (two indexes of one manifest, a second registry): the wanted one is told
 * if it is among them, else the one that the container was made with.
 * @param wanted what the stage is about: its repository's digest is preferred
 */
export function runningImage(name: string, made: ContainerWithImage, wanted: ImageIdentity): RunningImage {
  const { Config, Image: imageId } = made.container;
  const all = digestsOf(made);
  const ofRepository = all.filter(({ repository }) => repository === wanted.repository).map(({ digest }) => digest);
  const configured = tryParseReference(Config.Image)?.digest;
  const others = new Set(all.map(({ digest }) => digest));
  const digest =
    ofRepository.find((each) => each === wanted.digest) ??
    ofRepository.find((each) => each === configured) ??
    ofRepository[0] ??
    (others.size === 1 ? all[0]?.digest : undefined);
  return { name, reference: Config.Image, ...(digest && { digest }), imageId };
}

/** Whether a container runs what ran before: the very image of this host, or one of the same digest. */
export function runsPrevious(made: ContainerWithImage, before: RunningImage): boolean {
  if (made.container.Image === before.imageId) return true;
  const repository = tryParseReference(before.reference)?.repository;
  return digestsOf(made).some((each) => each.repository === repository && each.digest === before.digest);
}
