import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findTool } from '../../src/platform/tools.mjs';
import { startRegistry } from '../../test/support/registry.ts';
import { type Environment, run } from './run.ts';

export interface DemoRegistry {
  /** `127.0.0.1:PORT`: Docker speaks plain HTTP to loopback without being told to. */
  readonly host: string;
  stop(): Promise<void>;
}

export interface Notifications {
  /** Where Landfall takes webhooks, on this machine. */
  readonly port: number;
  readonly path: string;
  readonly token: string;
}

/**
 * A real registry: the program where there is one, else the image `registry:2`.
 * @param notifications Landfall is told of every push; undefined: nobody is
 */
export async function startDemoRegistry(notifications: Notifications | undefined, env: Environment): Promise<DemoRegistry> {
  if (findTool('docker-registry', env) === undefined) return startInContainer(notifications, env);
  if (notifications === undefined) return startRegistry();
  const url = `http://127.0.0.1:${notifications.port}${notifications.path}`;
  return startRegistry({ notifications: { url, headers: { Authorization: [`Bearer ${notifications.token}`] } } });
}

/** The port is published rather than the host's network used: with Docker Desktop, that network is the one of its virtual machine. */
async function startInContainer(notifications: Notifications | undefined, env: Environment): Promise<DemoRegistry> {
  const docker = findTool('docker', env) ?? 'docker';
  const folder = await mkdtemp(join(tmpdir(), 'landfall-demo-registry-'));
  // The registry reads YAML, and JSON is YAML.
  const settings = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: '/var/lib/registry' } },
    http: { addr: ':5000' },
    notifications: { endpoints: notifications === undefined ? [] : [endpointOf(notifications)] },
  };
  await writeFile(join(folder, 'config.yml'), JSON.stringify(settings));
  const volume = `${join(folder, 'config.yml')}:/etc/docker/registry/config.yml:ro`;
  const gateway = 'host.docker.internal:host-gateway';
  const started = [
    'run',
    '--detach',
    '--rm',
    '--publish',
    '127.0.0.1::5000',
    '--add-host',
    gateway,
    '--volume',
    volume,
    'registry:2',
  ];
  const container = (await run(docker, started, { env })).trim();
  const published = (await run(docker, ['port', container, '5000/tcp'], { env })).trim();
  return {
    host: published,
    async stop() {
      await run(docker, ['rm', '--force', '--volumes', container], { env });
      await rm(folder, { recursive: true });
    },
  };
}

function endpointOf({ port, path, token }: Notifications) {
  return {
    name: 'landfall',
    url: `http://host.docker.internal:${port}${path}`,
    headers: { Authorization: [`Bearer ${token}`] },
    timeout: '5s',
    threshold: 3,
    backoff: '500ms',
  };
}
