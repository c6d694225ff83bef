import { posix } from 'node:path';
import type Docker from 'dockerode';
import type { Container } from '../../platform/docker/container.ts';

/** An entry of `HostConfig.Mounts`, as the API has it: dockerode has no list of them, and asks for more. */
export interface MountSetting {
  readonly Type?: string;
  readonly Source?: string;
  readonly Target?: string;
}

/**
 * Binds and mounts that give the next container the same volumes, those without a name included: by their generated name, so that
 * their content stays. Such a volume has a name from then on, and is not removed together with a container any more.
 * @param borrowed where the container has the volumes of others (`--volumes-from`), which it gets from them again
 */
export function ownVolumes(container: Container, borrowed: ReadonlySet<string>): Pick<Docker.HostConfig, 'Binds' | 'Mounts'> {
  // A bind of one part only makes a volume without a name there.
  const binds = (container.HostConfig.Binds ?? []).filter((bind) => bind.includes(':'));
  const settings = mountSettings(container.HostConfig);
  const volumes = container.Mounts.filter(({ Type, Name }) => Type === 'volume' && Name);
  const mounts = settings.map((mount) => {
    const volume = volumes.find(({ Destination }) => Destination === clean(mount.Target ?? ''));
    return mount.Type === 'volume' && !mount.Source && volume ? { ...mount, Source: volume.Name } : mount;
  });
  const named = new Set([
    ...binds.map((bind) => clean(bind.split(':')[1] ?? '')),
    ...settings.map(({ Target }) => clean(Target ?? '')),
  ]);
  const unnamed = volumes.filter(({ Destination }) => !named.has(Destination) && !borrowed.has(Destination));
  const added = unnamed.map(({ Name, Destination, RW }) => `${Name}:${Destination}${RW ? '' : ':ro'}`);
  // dockerode describes one mount where the API has a list.
  const list: unknown = mounts.length === 0 ? undefined : mounts;
  return { Binds: [...binds, ...added], Mounts: list as Docker.HostConfig['Mounts'] };
}

function mountSettings({ Mounts }: Docker.HostConfig): readonly MountSetting[] {
  const list: unknown = Mounts ?? [];
  return Array.isArray(list) ? list : [];
}

/** As Docker keeps a path: no slash at its end. */
function clean(path: string): string {
  return posix.resolve('/', path);
}
