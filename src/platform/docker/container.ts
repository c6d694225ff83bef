import type Docker from 'dockerode';
import { isMissing } from './errors.ts';
import { digestsOfOrigin, type Origin, tellsOrigin } from './origin.ts';

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
  readonly Labels?: Readonly<Record<string, string>> | Empty;
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
  try {
    const found: unknown = await docker.getContainer(idOrName).inspect();
    return found as Container;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Docker lists the names that links give to a container, `/web/database`, beside its own, `/database`. */
export function ownName(names: readonly string[]): string | undefined {
  return names.find((name) => name.lastIndexOf('/') === 0)?.slice(1);
}

export interface Image {
  readonly Id: string;
  /** Of registries only: see `findImage`. */
  readonly RepoDigests?: readonly string[] | Empty;
  readonly Config?: ImageSettings | Empty;
}

/**
 * Undefined if Docker has no such image. Its digests are those that a registry is known to have: with containerd's image store, Docker
 * makes one up for every tag, also of an image that was built here and never pushed.
 * @param reference an id too
 */
export async function findImage(docker: Docker, reference: string): Promise<Image | undefined> {
  try {
    const inspected: unknown = await docker.getImage(reference).inspect();
    const found = inspected as Image & Origin;
    // Said of every image in that store, and of no other.
    if (!found.Descriptor) return found;
    // Not said of an image that was neither pulled nor pushed, nor by Docker before API 1.53: then it is not known.
    if (!found.Identity && !(await tellsOrigin(docker))) return found;
    return { ...found, RepoDigests: digestsOfOrigin(found) };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
