import { type Digest, type ImageReference, tryParseReference } from '../../domain/image-reference.ts';
import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import type { Container, Image } from '../../platform/docker/container.ts';

/** A reference with a digest, as Docker keeps it. */
type DigestReference = ImageReference & { readonly digest: Digest };

/**
 * By which registry digests a container's image is known. That it was made by digest counts too: Docker forgets an image's digest when
 * somebody removes that name of the image, although the container still runs it.
 * @param image undefined if Docker has removed it
 */
export function digestsOf(container: Container, image: Image | undefined): readonly DigestReference[] {
  return [...(image?.RepoDigests ?? []), container.Config.Image].flatMap(pinned);
}

function pinned(text: string): DigestReference[] {
  // `<none>@sha256:...`, and ids, are no references.
  const parsed = tryParseReference(text);
  return parsed?.digest === undefined ? [] : [{ ...parsed, digest: parsed.digest }];
}

export function runs(container: Container, image: Image | undefined, wanted: ImageIdentity): boolean {
  return digestsOf(container, image).some(
    ({ repository, digest }) => repository === wanted.repository && digest === wanted.digest,
  );
}

/**
 * What a container runs. An image may have several digests (two indexes of one manifest, a second registry): the wanted one is told
 * if it is among them, else the one that the container was made with.
 * @param wanted what the stage is about: its repository's digest is preferred
 */
export function runningImage(name: string, container: Container, image: Image | undefined, wanted: ImageIdentity): RunningImage {
  const all = digestsOf(container, image);
  const ofRepository = all.filter(({ repository }) => repository === wanted.repository).map(({ digest }) => digest);
  const configured = tryParseReference(container.Config.Image)?.digest;
  const others = new Set(all.map(({ digest }) => digest));
  const digest =
    ofRepository.find((each) => each === wanted.digest) ??
    ofRepository.find((each) => each === configured) ??
    ofRepository[0] ??
    (others.size === 1 ? all[0]?.digest : undefined);
  const { Image: imageId } = container;
  return { name, reference: container.Config.Image, ...(digest && { digest }), imageId };
}

/** Whether a container runs what ran before: the very image of this host, or one of the same digest. */
export function runsPrevious(container: Container, image: Image | undefined, before: RunningImage): boolean {
  if (container.Image === before.imageId) return true;
  const repository = tryParseReference(before.reference)?.repository;
  return digestsOf(container, image).some((each) => each.repository === repository && each.digest === before.digest);
}
