import { execFile } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chown, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { reservePort } from '../../src/platform/ports.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { createRemote, type GitRemote } from './git-remote.ts';
import type { OwnImage } from './landfall-image.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
/** User node of the image. */
const node = 1000;
const hookToken = 'canary-hook-3f1b';

/** docker-compose.yml as it is, with Landfall's image of this checkout, and stand-ins for all others. */
export interface Stack {
  readonly remote: GitRemote;
  /** Names of the networks, as Docker has them. */
  readonly networks: { readonly front: string; readonly back: string };
  /** Where the registry is, for containers. */
  readonly host: string;
  readonly password: string;
  compose(...words: string[]): Promise<string>;
  /** Runs a program in a container of its own on a network of the stack. */
  runOn(network: string, image: string, ...words: string[]): Promise<string>;
  /** Tells the webhooks that the image was pushed. */
  report(): Promise<Response>;
  stop(): Promise<void>;
}

export async function startStack(image: OwnImage): Promise<Stack> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-stack-'));
  const project = `landfall-stack-${randomUUID().slice(0, 8)}`;
  const [front, back] = [`198.18.${randomInt(250)}`, `198.19.${randomInt(250)}`];
  const [webhooks, operators, registryPort] = [await reservePort(), await reservePort(), await reservePort()];
  const host = `${back}.1:${registryPort}`;
  const file = `services: { web: { image: ${host}/landfall/landfall:0.1 } }\n`;
  const remote = await createRemote({ files: { 'docker-compose.yml': file } });
  const password = randomUUID();
  const env = {
    ...process.env,
    POSTGRES_PASSWORD: password,
    LANDFALL_KEY: randomUUID(),
    LANDFALL_IMAGE: image.name,
    LANDFALL_FRONT: front,
    POSTGRES_IMAGE: image.references.postgres,
    TEMPORAL_SERVER_IMAGE: image.references.temporal,
    TEMPORAL_ADMIN_TOOLS_IMAGE: image.references['admin-tools'],
  };
  await cp(join(root, 'deploy'), join(folder, 'deploy'), { recursive: true });
  await writeFiles(folder, { front, back, webhooks, operators, host, remote });
  const files = [join(root, 'docker-compose.yml'), join(folder, 'override.yml')].flatMap((file) => ['--file', file]);
  const program = (name: 'docker' | 'docker-compose', words: readonly string[]) => {
    const found = findTool(name);
    if (found === undefined) throw new Error(`these tests need ${name}: npm test sets it up`);
    return run(found, words, { env, maxBuffer: 16 * 1024 ** 2 }).then(({ stdout }) => stdout);
  };
  const compose = (...words: string[]) =>
    program('docker-compose', [
      ...files,
      '--project-directory',
      folder,
      '--env-file',
      '/dev/null',
      '--project-name',
      project,
      ...words,
    ]);
  // Landfall finds the registry at the host's own address on its network.
  const registry = createServer((socket) => {
    const other = connect(image.registry.port, '127.0.0.1');
    for (const end of [socket, other]) end.on('error', () => [socket, other].map((each) => each.destroy()));
    socket.pipe(other).pipe(socket);
  }).listen(registryPort, '0.0.0.0');
  await once(registry, 'listening');
  const stop = async () => {
    await compose('down', '--volumes', '--remove-orphans', '--timeout', '5').catch(() => undefined);
    // Names with ports that no other run has.
    await program('docker', ['image', 'rm', '--force', image.name, ...Object.values(image.references)]).catch(() => undefined);
    registry.close();
    await remote.destroy();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await compose('up', '--detach', '--wait', '--wait-timeout', '180');
  } catch (error) {
    const logs = await compose('logs', '--no-color', '--tail', '30').catch(String);
    await stop();
    throw new Error(`the stack did not start:\n${logs}`, { cause: error });
  }
  return {
    remote,
    networks: { front: `${project}_front`, back: `${project}_back` },
    host,
    password,
    compose,
    runOn: (network, base, ...words) =>
      program('docker', ['run', '--rm', '--network', network, '--entrypoint', words[0] ?? '', base, ...words.slice(1)]),
    report: () => report(webhooks, host, image.digest),
    stop,
  };
}

interface StackPlaces {
  readonly front: string;
  readonly back: string;
  readonly webhooks: number;
  readonly operators: number;
  readonly host: string;
  readonly remote: GitRemote;
}

/** What docs/production.md has people write, and what only a test needs: other ports, a repository in a folder. */
async function writeFiles(folder: string, { front, back, webhooks, operators, host, remote }: StackPlaces): Promise<void> {
  for (const part of ['api', 'worker']) await mkdir(join(folder, 'landfall', part), { recursive: true });
  await writeFile(join(folder, 'landfall/api.env'), `HOOK_TOKEN=${hookToken}\n`);
  await writeFile(
    join(folder, 'landfall/landfall.yaml'),
    stringify({
      listen: {
        webhooks: '0.0.0.0:8080',
        operators: '0.0.0.0:8081',
        trustedProxies: [`${front}.2`],
        addressHeader: 'x-forwarded-for',
      },
      data: '/landfall/data',
      artifacts: '/landfall/artifacts',
      receivers: { distribution: { token: 'env:HOOK_TOKEN' } },
      registries: { [host]: { plainHttp: true } },
      search: 'off',
      services: [
        {
          ...{ name: 'web', image: `${host}/landfall/landfall`, tags: ['test'], scan: 'off', smoke: 'off' },
          change: { repository: '/deployment.git', base: 'main', file: 'docker-compose.yml', services: ['web'] },
        },
      ],
    }),
  );
  await writeFile(
    join(folder, 'override.yml'),
    [
      'services:',
      `  landfall-api: { ports: !override ["127.0.0.1:${webhooks}:8080", "127.0.0.1:${operators}:8081"] }`,
      `  landfall-worker: { volumes: ["${remote.folder}:/deployment.git"] }`,
      `networks: { back: { ipam: { config: [{ subnet: "${back}.0/28", gateway: "${back}.1" }] } } }`,
      '',
    ].join('\n'),
  );
  await chown(remote.folder, node, node);
  for (const entry of await readdir(remote.folder, { recursive: true })) await chown(join(remote.folder, entry), node, node);
}

async function report(port: number, host: string, digest: string): Promise<Response> {
  const target = {
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    digest,
    repository: 'landfall/landfall',
    tag: 'test',
  };
  return await fetch(`http://127.0.0.1:${port}/webhook/distribution`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/vnd.docker.distribution.events.v2+json', Authorization: `Bearer ${hookToken}` },
    body: JSON.stringify({
      events: [{ id: randomUUID(), timestamp: new Date().toISOString(), action: 'push', target, request: { host } }],
    }),
  });
}
