import { createServer } from 'node:net';
import type Docker from 'dockerode';
import { z } from 'zod';
import { codeOf } from '../../domain/errors.ts';
import { isMissing } from '../../platform/docker/errors.ts';
import { findSharers } from '../kit/sharers.ts';
import { type Definition, type ServiceDefinition, usedBy } from './definition.ts';
import { refused } from './refusals.ts';
import type { DeployedService } from './services.ts';

/** What the services of a deploy have to find on the host. */
export interface HostRequirements {
  readonly docker: Docker;
  /** As it is to become. */
  readonly definition: Definition;
  /** Those that are deployed, with the containers that they have now. */
  readonly services: readonly DeployedService[];
  /** Whether this process listens where containers' ports are published, so that it can try them. */
  readonly isOnHost: boolean;
}

/**
 * Refuses what would make Compose fail half-way, or would break other containers.
 * @throws Refusal `DeployRefused`
 */
export async function requireHost(requirements: HostRequirements): Promise<void> {
  for (const { name } of requirements.services) {
    const one = requirements.definition.services?.[name];
    if (one === undefined) continue;
    requireReplicas(name, one);
    await requireExternals(requirements, name, one);
    await requirePorts(requirements, name, one);
  }
  await requireNoSharers(requirements);
}

const scaled = z.looseObject({
  scale: z.number().optional(),
  deploy: z.looseObject({ replicas: z.number().optional() }).nullish(),
});

function requireReplicas(name: string, one: ServiceDefinition): void {
  const { scale, deploy } = scaled.parse(one);
  if ((scale ?? deploy?.replicas) !== 0) return;
  throw refused(
    `expected ${name} to have at least one container, but the compose files ask for none (scale or deploy.replicas is 0), so there is ` +
      'nothing that could be deployed: raise it, or take the service out of deploy.compose.services',
  );
}

async function requireExternals({ docker, definition }: HostRequirements, name: string, one: ServiceDefinition): Promise<void> {
  const used = usedBy(one);
  for (const kind of ['volumes', 'networks'] as const) {
    for (const key of used[kind]) {
      const resource = definition[kind]?.[key];
      if (resource?.external !== true) continue;
      const real = typeof resource.name === 'string' ? resource.name : key;
      const [what, found] = kind === 'volumes' ? ['volume', docker.getVolume(real)] : ['network', docker.getNetwork(real)];
      const isThere = await found.inspect().then(() => true, absent);
      if (isThere) continue;
      throw refused(
        `expected the ${what} ${real} of ${name} on this host, because the compose files say that it is external, found none: ` +
          `'docker ${what} create ${real}', or correct the files`,
      );
    }
  }
}

function absent(error: unknown): boolean {
  if (isMissing(error)) return false;
  throw error;
}

const published = z.array(
  z.looseObject({ host_ip: z.string().optional(), published: z.string().optional(), protocol: z.string().optional() }),
);

/** A port that the service itself publishes now counts as free. */
async function requirePorts(
  { docker, services, isOnHost }: HostRequirements,
  name: string,
  one: ServiceDefinition,
): Promise<void> {
  const wanted = (published.safeParse(one.ports ?? []).data ?? []).filter((port) => /^\d+$/.test(port.published ?? ''));
  if (wanted.length === 0) return;
  const own = new Set(services.flatMap(({ containers }) => containers.map(({ container }) => container.Id)));
  const taken = (await docker.listContainers()).flatMap(({ Id, Names, Ports }) =>
    Ports.flatMap((port) =>
      port.PublicPort === undefined ? [] : [{ ...port, isOwn: own.has(Id), by: Names[0]?.slice(1) ?? Id }],
    ),
  );
  for (const port of wanted) {
    const same = taken.filter(
      ({ PublicPort, Type, IP }) =>
        String(PublicPort) === port.published && Type === (port.protocol ?? 'tcp') && overlap(IP, port.host_ip),
    );
    const other = same.find(({ isOwn }) => !isOwn);
    const isBusy = other === undefined && same.length === 0 && isOnHost && (await isListenedOn(port));
    if (other === undefined && !isBusy) continue;
    const who = other === undefined ? 'some process of this host' : `the container ${other.by}`;
    throw refused(
      `expected the port ${port.host_ip === undefined ? '' : `${port.host_ip}:`}${port.published} of ${name} to be free on this host, but ` +
        `${who} has it: free it, or publish another one`,
    );
  }
}

const everywhere = new Set([undefined, '', '0.0.0.0', '::']);

function overlap(one: string | undefined, other: string | undefined): boolean {
  return everywhere.has(one) || everywhere.has(other) || one === other;
}

async function isListenedOn(port: z.infer<typeof published>[number]): Promise<boolean> {
  if ((port.protocol ?? 'tcp') !== 'tcp') return false;
  const server = createServer();
  try {
    return await new Promise((resolve) => {
      server.once('error', (error) => resolve(codeOf(error) === 'EADDRINUSE'));
      server.listen({ host: port.host_ip ?? '0.0.0.0', port: Number(port.published), exclusive: true }, () => resolve(false));
    });
  } finally {
    server.close();
  }
}

async function requireNoSharers({ docker, services }: HostRequirements): Promise<void> {
  const replaced = services.flatMap(({ containers }) => containers.map(({ container }) => container));
  const [first, ...others] = await findSharers(docker, replaced);
  if (first === undefined) return;
  const names = [...new Set([first, ...others].map(({ name, what, of }) => `${name} (the ${what} of ${of})`))].join(', ');
  throw refused(
    `expected nobody to depend on the very container that is replaced, but ${names} would lose what it shares with it (network_mode, pid or ` +
      "ipc 'service:' or 'container:'), and could not be started again: have it join a network of its own, or remove it before the deploy",
  );
}
