import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import { formatReference } from '../../domain/image-reference.ts';
import type { PlatformDigests, VerifiedImage } from '../../domain/outcomes.ts';
import type { Plan } from '../../domain/plan.ts';
import { meantPlatforms, platformName } from '../registry/platform.ts';

/** What a daemon says of an image that it has. */
export interface LocalImage {
  /** In Docker's own image store, the digest of the configuration; in containerd's (default since Docker 29), of the index or manifest. */
  readonly Id: string;
  readonly Os: string;
  readonly Architecture: string;
  readonly Variant?: string;
  /** What is there of an index, attestations included. Only with containerd's image store, since Docker 28. */
  readonly Manifests?: readonly {
    /** Digest of the manifest. */
    readonly ID: string;
    readonly Kind: string;
    readonly Available: boolean;
    readonly ImageData?: { readonly Platform: Parameters<typeof platformName>[0] };
  }[];
}

/** What the daemon says about the image that a container was made from. */
export interface ContainerImageInfo {
  /** The image manifest that was chosen from the index. Only with containerd's image store, since Docker 28. */
  readonly ImageManifestDescriptor?: { readonly digest?: string };
}

/** Checks, before it is started, that what Docker chose from an image on the host is what was scanned. @throws Refusal `PlatformMissing` */
export async function requireScanned(docker: Docker, plan: Pick<Plan, 'platforms'>, image: VerifiedImage): Promise<void> {
  // Not dockerode's `inspect`, which cannot ask for the manifests; Docker before 28 does not know that question, and leaves it out.
  const inspected: unknown = await promisify(docker.modem.dial.bind(docker.modem))({
    path: `/images/${formatReference({ repository: image.repository, digest: image.digest })}/json?`,
    method: 'GET',
    statusCodes: { 200: true, 404: 'no such image', 500: 'server error' },
    options: { manifests: true },
  });
  const found = inspected as LocalImage;
  if (!isScanned(found, plan, image)) throw notScanned(plan, image, `${found.Id} for ${found.Os}/${found.Architecture}`);
}

/** The same for a container that was made and not started yet: it cannot have become another one meanwhile. @throws Refusal `PlatformMissing` */
export function requireMadeOfScanned(made: ContainerImageInfo, plan: Pick<Plan, 'platforms'>, image: VerifiedImage): void {
  const chosen = made.ImageManifestDescriptor?.digest;
  if (chosen === undefined || meantPlatforms(plan.platforms, image.platforms).some(({ digest }) => digest === chosen)) return;
  throw notScanned(plan, image, chosen);
}

export function isScanned(local: LocalImage, plan: Pick<Plan, 'platforms'>, image: VerifiedImage): boolean {
  // Podman leaves the algorithm out.
  const id = local.Id.replace(/^(?=[0-9a-f]{64}$)/, 'sha256:');
  const scanned = meantPlatforms(plan.platforms, image.platforms);
  if (image.platforms.length === 0 || scanned.some(({ digest, config }) => id === config || id === digest)) return true;
  const platform = platformName({ os: local.Os, architecture: local.Architecture, variant: local.Variant });
  const ofPlatform = meantPlatforms([platform], scanned);
  if (id === image.digest) return ofPlatform.length > 0 && hasOnlyScanned(local, platform, scanned);
  // Verified before configurations were kept.
  return ofPlatform.some(({ config }) => config === undefined);
}

/** The index was verified to have one image for each platform; if the daemon says what it has of it, that counts more. */
function hasOnlyScanned({ Manifests = [] }: LocalImage, platform: string, scanned: readonly PlatformDigests[]): boolean {
  return Manifests.every(
    ({ ID, Kind, Available, ImageData }) =>
      Kind !== 'image' ||
      !Available ||
      platformName(ImageData?.Platform ?? {}) !== platform ||
      scanned.some(({ digest }) => digest === ID),
  );
}

function notScanned(plan: Pick<Plan, 'platforms'>, image: VerifiedImage, found: string): Refusal {
  const { repository, digest } = image;
  const scanned = meantPlatforms(plan.platforms, image.platforms).map((each) => `${each.digest} for ${each.platform}`);
  return new Refusal(
    'PlatformMissing',
    `expected Docker to run one of the images of ${formatReference({ repository, digest })} that were scanned (${scanned.join(', ')}), but ` +
      `it chose ${found}, so nothing is started: add the platform of this host to platforms of the service, or leave platforms out`,
  );
}
