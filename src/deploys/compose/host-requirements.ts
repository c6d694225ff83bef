import { createServer } from 'node:net';
import type Docker from 'dockerode';
import { z } from 'zod';
import { codeOf } from '../../domain/errors.ts';
import { findSharers, isThere } from '../kit/docker.ts';
import { refused } from '../kit/refusals.ts';
import type { ComposeContext } from './context.ts';
import { type Definition, type ServiceDefinition, usedBy } from './definition.ts';
import type { DeployedService } from './services.ts';

/** Refuses what would make Compose fail half-way, or would break other containers. @param definition as it is to become */
export async function requireHost(
  context: ComposeContext,
  definition: Definition,
  services: readonly DeployedService[],
): Promise<void> {
  const own = new Set(services.flatMap(({ containers }) => containers.map(({ container }) => container.Id)));
  for (const { name } of services) {
    const one = definition.services?.[name];
    if (one === undefined) continue;
    requireReplicas(name, one);
    await requireExternals(context.docker, definition, name, one);
    await requirePorts(context, own, name, one);
  }
  await requireNoSharers(context, services);
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

async function requireExternals(docker: Docker, definition: Definition, name: string, one: ServiceDefinition): Promise<void> {
  const used = usedBy(one);
  for (const kind of ['volumes', 'networks'] as const) {
    for (const key of used[kind]) {
      const resource = definition[kind]?.[key];
      if (resource?.external !== true) continue;
      const real = typeof resource.name === 'string' ? resource.name : key;
      const [what, found] = kind === 'volumes' ? ['volume', docker.getVolume(real)] : ['network', docker.getNetwork(real)];
      if (await isThere(found)) continue;
      throw refused(
        `expected the ${what} ${real} of ${name} on this host, because the compose files say that it is external, found none: ` +
          `'docker ${what} create ${real}', or correct the files`,
      );
    }
  }
}

const published = z.array(
  z.looseObject({ host_ip: z.string().optional(), published: z.string().optional(), protocol: z.string().optional() }),
);

/** @param own ids of containers that are replaced: a port that they publish counts as free */
async function requirePorts(
  { docker, isOnHost }: ComposeContext,
  own: ReadonlySet<string>,
  name: string,
  one: ServiceDefinition,
) {
  const wanted = (published.safeParse(one.ports ?? []).data ?? []).filter((port) => /^\d+$/.test(port.published ?? ''));
  if (wanted.length === 0) return;
  const listed = await docker.listContainers();
  for (const port of wanted) {
    const holders = listed.filter(({ Ports }) =>
      Ports.some(
        ({ PublicPort, Type, IP }) =>
          String(PublicPort) === port.published && Type === (port.protocol ?? 'tcp') && overlap(IP, port.host_ip),
      ),
    );
    const other = holders.find(({ Id }) => !own.has(Id));
    const isBusy = holders.length === 0 && isOnHost && (await isListenedOn(port));
    if (other === undefined && !isBusy) continue;
    const who = other === undefined ? 'some process of this host' : `the container ${other.Names[0]?.slice(1) ?? other.Id}`;
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

async function requireNoSharers({ docker }: ComposeContext, services: readonly DeployedService[]): Promise<void> {
  const replaced = services.flatMap(({ containers }) => containers.map(({ container }) => container));
  const sharers = await findSharers(docker, replaced);
  if (sharers.length === 0) return;
  const names = [...new Set(sharers.map(({ name, what, of }) => `${name} (the ${what} of ${of})`))].join(', ');
  throw refused(
    `expected nobody to depend on the very container that is replaced, but ${names} would lose what it shares with it (network_mode, pid or ` +
      "ipc 'service:' or 'container:'), and could not be started again: have it join a network of its own, or remove it before the deploy",
  );
}
