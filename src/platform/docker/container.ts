import type Docker from 'dockerode';
import { tryParseReference } from '../../domain/image-reference.ts';
import { unlessMissing } from './errors.ts';

/** As much of what Docker says about a container as is needed to make it again. Docker says null for much that is empty. */
export interface Container {
  readonly Id: string;
  /** With a slash before it. */
  readonly Name: string;
  /** Id of the image. */
  readonly Image: string;
  readonly Created: string;
  readonly RestartCount: number;
  readonly State: Docker.ContainerInspectInfo['State'];
  readonly HostConfig: Docker.HostConfig;
  readonly Mounts: Docker.ContainerInspectInfo['Mounts'];
  readonly Config: ImageSettings & { readonly Image: string };
  readonly NetworkSettings: { readonly Networks?: Readonly<Record<string, Endpoint>> | null };
}

type Empty = null | undefined;
export type Labels = Readonly<Record<string, string>> | Empty;

/** What both a container and an image have: a container's are its own over its image's. */
export interface ImageSettings {
  readonly Hostname?: string | Empty;
  readonly Domainname?: string | Empty;
  readonly User?: string | Empty;
  readonly WorkingDir?: string | Empty;
  readonly StopSignal?: string | Empty;
  readonly Tty?: boolean | Empty;
  readonly Env?: readonly string[] | Empty;
  readonly Cmd?: readonly string[] | Empty;
  readonly Entrypoint?: readonly string[] | Empty;
  readonly Shell?: readonly string[] | Empty;
  readonly Labels?: Labels;
  readonly ExposedPorts?: Readonly<Record<string, object>> | Empty;
  readonly Volumes?: Readonly<Record<string, object>> | Empty;
  readonly Healthcheck?: Docker.HealthConfig | Empty;
}

export interface Endpoint extends Omit<Docker.EndpointSettings, 'IPAMConfig' | 'Links' | 'Aliases' | 'DriverOpts'> {
  readonly IPAMConfig?: Docker.EndpointSettings['IPAMConfig'] | null;
  readonly Links?: string[] | Empty;
  readonly Aliases?: string[] | Empty;
  readonly DriverOpts?: Record<string, string> | Empty;
  /** Since API 1.48. */
  readonly GwPriority?: number;
}

/** Undefined if there is no such container. */
export async function inspectContainer(docker: Docker, idOrName: string): Promise<Container | undefined> {
  const found: unknown = await docker.getContainer(idOrName).inspect().catch(unlessMissing);
  return found as Container | undefined;
}

export interface Image {
  readonly Id: string;
  /** Of registries only: see `findImage`. */
  readonly RepoDigests?: readonly string[] | Empty;
  readonly Config?: ImageSettings | Empty;
}

/** What Docker says of where an image in containerd's store is from. */
interface Origin {
  /** One for every name, also for those that no registry has. */
  readonly RepoDigests?: readonly string[] | Empty;
  /** Of every image in that store, and of no other. */
  readonly Descriptor?: object | Empty;
  /** Since API 1.53, of images that were pulled, pushed, or built with BuildKit. */
  readonly Identity?: { readonly Pull?: readonly { readonly Repository: string }[] | Empty } | Empty;
}

/**
 * Undefined if Docker has no such image, by reference or id. Its digests are those that a registry is known to have: with containerd's store,
 * Docker makes one up for every tag, also of an image that was built here and never pushed.
 */
export async function findImage(docker: Docker, reference: string): Promise<Image | undefined> {
  const inspected: unknown = await docker.getImage(reference).inspect().catch(unlessMissing);
  const found = inspected as (Image & Origin) | undefined;
  if (!found?.Descriptor) return found;
  // Not said of an image that was neither pulled nor pushed, nor by Docker before API 1.53: then it is not known.
  if (!found.Identity && !(await tellsOrigin(docker))) return found;
  return { ...found, RepoDigests: digestsOfOrigin(found) };
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
async function tellsOrigin(docker: Docker): Promise<boolean> {
  const { ApiVersion } = await docker.version();
  const [major = 0, minor = 0] = ApiVersion.split('.').map(Number);
  return major > 1 || (major === 1 && minor >= 53);
}

/** Whether a label was set on the container itself: Docker copies an image's to its containers unmarked. The same value counts as copied. */
export function isOwnLabel(label: string, container: Labels, image: Labels): boolean {
  return container?.[label] !== undefined && container[label] !== image?.[label];
}

/**
 * Whether Compose made a container, and not only its image says so: no image can have all that Compose writes on a container, the image's own
 * id among it. @param image undefined if the image is gone: then its labels are believed
 */
export function isMadeByCompose(container: Labels, image: Labels): boolean {
  const isComposes = (label: string) => label.startsWith('com.docker.compose.') && isOwnLabel(label, container, image);
  return Object.keys(container ?? {}).some(isComposes);
}
