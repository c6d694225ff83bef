import type Docker from 'dockerode';
import type { Container, Settings } from '../../platform/docker/container.ts';
import { type OwnNetworks, ownNetworks } from './own-networks.ts';
import { ownSettings } from './own-settings.ts';
import { ownVolumes } from './own-volumes.ts';

export interface Recreation extends Pick<OwnNetworks, 'joins' | 'leaves'> {
  readonly options: Docker.ContainerCreateOptions;
}

export interface Anew {
  readonly name: string;
  /** What it is to run, by digest or id. */
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly restart: Docker.HostRestartPolicy;
}

export interface Surroundings {
  /** Configuration of the image that the container was made from. */
  readonly image: Settings;
  readonly hostName: string;
  /** Where it has volumes of other containers. */
  readonly borrowed: ReadonlySet<string>;
}

/**
 * How to make a container anew with another image: everything that was set on it is kept, nothing that came from its image or that Docker
 * made up for it (id as host name and alias, addresses). A MAC address that was set stays; generated ones do not.
 */
export function recreationOf(container: Container, surroundings: Surroundings, anew: Anew): Recreation {
  const { first, joins, leaves } = ownNetworks(container);
  const settings = ownSettings(container, surroundings.image, surroundings.hostName);
  const options: Docker.ContainerCreateOptions = {
    ...settings,
    name: anew.name,
    Image: anew.image,
    Labels: { ...(settings.Labels as Record<string, string>), ...anew.labels },
    HostConfig: {
      ...container.HostConfig,
      ...ownVolumes(container, surroundings.borrowed),
      Links: ownLinks(container.HostConfig),
      RestartPolicy: anew.restart,
      ContainerIDFile: '',
    },
    NetworkingConfig: { EndpointsConfig: first },
  };
  return { options, joins, leaves };
}

/** Docker takes `TARGET:ALIAS`, and tells `/TARGET:/CONTAINER/ALIAS`. */
function ownLinks({ Links }: Docker.HostConfig): readonly string[] | undefined {
  if (!Array.isArray(Links)) return undefined;
  return Links.map(String).map((link) => {
    const [target = '', alias = ''] = link.split(':');
    return `${target.slice(1)}:${alias.slice(alias.lastIndexOf('/') + 1)}`;
  });
}
