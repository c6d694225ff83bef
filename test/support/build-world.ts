import { createHmac } from 'node:crypto';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Timing } from '../../scripts/setup/build.mjs';
import { type BuildState, runStateQuery } from '../../src/contracts/messages.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { ensureDocker } from './docker.ts';
import { buildxProgram } from './docker-buildx.ts';
import { createRemote, type Files, type GitRemote, serveOverHttp } from './git-remote.ts';
import { pushIndex } from './images.ts';
import { type RunningLandfall, startLandfall } from './landfall.ts';
import { type OidcIssuer, startOidcIssuer } from './oidc-issuer.ts';
import { type Registry, startRegistry } from './registry.ts';
import { startNamespace, type TestNamespace } from './temporal.ts';
import { eventually } from './wait.ts';

const secret = 'gitea-secret';
const githubToken = 'canary-token-of-github';

/** The Dockerfile of both sorts of connectors. */
export const connectorDockerfile = `ARG BASE_IMAGE
FROM \${BASE_IMAGE}
ARG CONNECTOR_NAME
LABEL connector=\${CONNECTOR_NAME}
COPY main.sh /airbyte/main.sh
ENTRYPOINT ["/bin/sh", "/airbyte/main.sh"]
`;
export const printsSpec = 'echo starting; echo \'{"type":"SPEC","spec":{}}\'';

/** The files of one connector. */
export function connectorFiles(name: string, metadata: string, script = printsSpec): Record<string, string> {
  const folder = `airbyte-integrations/connectors/${name}`;
  return { [`${folder}/metadata.yaml`]: metadata, [`${folder}/main.sh`]: script };
}

export function connectorMetadata(base: string, language: string, version: string, options = `{ baseImage: "${base}" }`): string {
  return `data:\n  dockerImageTag: ${version}\n  tags: [cdk:python, language:${language}]\n  connectorBuildOptions: ${options}\n`;
}

export interface BuildWorldOptions {
  readonly files: (base: string) => Files;
  /** What clients see of the registry: a proxy in front of it. Given its real `host`, answers the host to use. */
  readonly inFront?: (registry: Registry) => Promise<string>;
  readonly configuration: (host: string, repository: string) => Readonly<Record<string, unknown>>;
  /** The repository is also the private one `team/app` of a GitHub, whose jobs may have it built. */
  readonly isAtGitHub?: boolean;
}

/** Everything real that a build has to do with: a git remote, Docker with buildx, a registry, Trivy, Temporal, and Landfall as a process. */
export interface BuildWorld {
  readonly folder: string;
  readonly registry: Registry;
  readonly host: string;
  readonly remote: GitRemote;
  readonly temporal: TestNamespace;
  /** `repository:tag@digest` of an image with busybox for two platforms. */
  readonly base: string;
  /** Of the command. */
  readonly env: Readonly<Record<string, string>>;
  /** Of the operators' listener. */
  readonly operators: string;
  /** Who vouches for jobs. */
  readonly issuer: OidcIssuer;
  landfall(): RunningLandfall;
  start(timing?: Timing): Promise<RunningLandfall>;
  /** The webhook that Gitea sends for a push to main. */
  tellPush(before: string, after: string, deliveryId?: string): Promise<Response>;
  /** Waits until a build has a status. */
  until(build: string, status: BuildState['status'], withinMs?: number): Promise<BuildState>;
  manifest(name: string, reference: string): Promise<FoundManifest>;
  stop(): Promise<void>;
}

interface FoundManifest {
  readonly status: number;
  readonly digest: string | null;
  readonly body: {
    readonly manifests?: readonly {
      readonly digest: string;
      readonly platform: { readonly os: string; readonly architecture: string };
      readonly annotations?: Readonly<Record<string, string>>;
    }[];
    readonly layers?: readonly { readonly annotations?: Readonly<Record<string, string>> }[];
  };
}

export async function startBuildWorld(options: BuildWorldOptions): Promise<BuildWorld> {
  const docker = await ensureDocker();
  const { DriverStatus = [] } = await docker.info();
  if (!JSON.stringify(DriverStatus).includes('io.containerd.snapshotter'))
    throw new Error("these tests need an engine with containerd's image store: run them with npm test -- --engine 29");
  const folder = await mkdtemp(join(tmpdir(), 'landfall-builds-'));
  const [port, operatorsPort] = [await reservePort(), await reservePort()];
  const registry = await startRegistry();
  const host = (await options.inFront?.(registry)) ?? registry.host;
  const images = ['linux/amd64', 'linux/arm64'].map((platform) => ({ busybox: true, platform }));
  const { digest } = await pushIndex(registry, 'base/busybox', '1', images);
  const base = `${registry.host}/base/busybox:1@${digest}`;
  const remote = await createRemote({ files: options.files(base) });
  const operators = `http://127.0.0.1:${operatorsPort}`;
  const issuer = await startOidcIssuer();
  const served = await serveOverHttp(remote, { username: 'x-access-token', password: githubToken }, '/team/app.git');
  const temporal = await startNamespace();
  await cp(join(fileURLToPath(new URL('./trivy-db/', import.meta.url)), 'db'), join(folder, 'trivy', 'db'), { recursive: true });
  const configuration = {
    listen: { webhooks: `127.0.0.1:${port}`, operators: `127.0.0.1:${operatorsPort}` },
    receivers: { gitea: { secrets: ['env:GITEA_SECRET'] } },
    registries: { [host]: { plainHttp: true } },
    trivy: { cacheDir: 'trivy', offline: true },
    search: 'off',
    ...(options.isAtGitHub && {
      forge: { github: { token: 'env:GITHUB_TOKEN', url: served.url.replace(/\/$/, '') } },
      login: { jobs: { audience: operators, issuer: issuer.url } },
    }),
    ...options.configuration(host, remote.url),
  };
  await writeFile(join(folder, 'landfall.yaml'), stringify(configuration));
  const env = {
    ...temporal.env,
    GITEA_SECRET: secret,
    GITHUB_TOKEN: githubToken,
    BUILD_KEY: 'hush',
    DOCKER_BUILDX: buildxProgram(),
  };
  let running: RunningLandfall | undefined;
  const landfall = () => {
    if (running === undefined) throw new Error('start it first');
    return running;
  };
  return {
    ...{ folder, registry, host, remote, temporal, base, env, operators, issuer, landfall },
    async start(timing) {
      running = await startLandfall(folder, env, timing);
      return running;
    },
    async tellPush(before, after, deliveryId = crypto.randomUUID()) {
      const body = JSON.stringify({
        ref: 'refs/heads/main',
        before,
        after,
        repository: { clone_url: remote.url },
        sender: { login: 'ann' },
      });
      const signature = createHmac('sha256', secret).update(body).digest('hex');
      const headers = {
        'content-type': 'application/json',
        'x-gitea-event': 'push',
        'x-gitea-delivery': deliveryId,
        'x-gitea-signature': signature,
      };
      return await fetch(`http://127.0.0.1:${port}/webhook/gitea`, { method: 'POST', headers, body });
    },
    async until(build, status, withinMs = 110_000) {
      let last: BuildState | undefined;
      const read = async () => {
        last = await stateOf(temporal, build);
        if (last?.status === status) return last;
        if (last?.endedAt !== undefined)
          throw new Error(`${build} ended ${last.status}: ${last.reason}\n${running?.output().slice(-3000)}`);
        return undefined;
      };
      return await eventually(`${build} ${status}`, read, withinMs).catch((error: unknown) => {
        throw new Error(`${error}: ${JSON.stringify(last?.steps, null, 1)}\n${running?.output().slice(-3000)}`);
      });
    },
    async manifest(name, reference) {
      const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
      const answer = await fetch(`${registry.url}/v2/${name}/manifests/${reference}`, { headers: { accept } });
      const body = (await answer.json()) as FoundManifest['body'];
      return { status: answer.status, digest: answer.headers.get('docker-content-digest'), body };
    },
    async stop() {
      await running?.stop();
      await Promise.all([registry.stop(), temporal.stop(), served.stop(), issuer.stop()]);
      await remote.destroy();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function stateOf({ client }: TestNamespace, build: string): Promise<BuildState | undefined> {
  try {
    return (await client.workflow.getHandle(build).query(runStateQuery)) as BuildState;
  } catch {
    // Not started yet, or nobody is there to answer: asked again until it is.
    return undefined;
  }
}
